# Picks one of two slots for Lazaret, and counts the starts of a trial. Compile with
# `mkimage -T script -d uboot.cmd boot.scr`; U-Boot needs CONFIG_CMD_SETEXPR and an environment that it can save. What this
# leaves in `slot` (a or b) is for the commands that load the kernel, which have to append lazaret.slot=${slot} to bootargs.
#
# BOOT_ORDER names the slots that may be started. BOOT_x_OK is 1 for a slot that is kept and not counted; BOOT_x_LEFT are
# the starts left to one on trial, in hexadecimal. What is counted is saved before the kernel is loaded.
setenv slot
setenv last
for name in ${BOOT_ORDER}; do
    if test "x${last}" = "x"; then
        setenv last ${name}
    fi
    if test "x${slot}" != "x"; then
        true
    elif test "x${name}" = "xA"; then
        if test "x${BOOT_A_OK}" = "x1"; then
            setenv slot A
        elif test "x${BOOT_A_LEFT}" != "x" -a "x${BOOT_A_LEFT}" != "x0"; then
            setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
            setenv slot A
            saveenv
        fi
    elif test "x${name}" = "xB"; then
        if test "x${BOOT_B_OK}" = "x1"; then
            setenv slot B
        elif test "x${BOOT_B_LEFT}" != "x" -a "x${BOOT_B_LEFT}" != "x0"; then
            setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
            setenv slot B
            saveenv
        fi
    fi
done
# Nothing is left that may be started. A machine that runs something can be cured.
if test "x${slot}" = "x"; then
    setenv slot ${last}
fi
if test "x${slot}" = "xB"; then
    setenv slot b
else
    setenv slot a
fi

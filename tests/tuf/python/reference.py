"""python-tuf's own client behind the same door as the client under test, to hold ours against."""

from client import Client
from tuf.ngclient import Updater


class Reference(Client):
    def run(self, *arguments, at=None):
        try:
            self.command(list(arguments), at)
        except Exception as err:
            self.said = f"{type(err).__name__}: {err}"
            return 1
        self.said = ""
        return 0

    def command(self, arguments, at):
        if arguments[0] == "init":
            with open(arguments[1], "rb") as root:
                self.updater(bootstrap=root.read())
            return
        updater = self.updater()
        if at:
            updater._trusted_set.reference_time = at
        updater.refresh()
        names = [value for word, value in zip(arguments, arguments[1:]) if word == "--target-name"]
        for name in names:
            info = updater.get_targetinfo(name)
            if info is None:
                raise RuntimeError(f"no target {name}")
            if updater.find_cached_target(info) is None:
                updater.download_target(info)

    def updater(self, bootstrap=None):
        base = self.server.base
        return Updater(
            str(self.metadata), f"{base}/metadata/", str(self.downloads), f"{base}/targets/", bootstrap=bootstrap
        )

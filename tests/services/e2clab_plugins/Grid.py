"""As plugins of E2Clab look: EnOSlib's actions on roles, parts with ports of their own."""

import enoslib as en
from e2clab import Service


class Grid(Service):
    """A manager and its workers."""

    def deploy(self):
        self.roles.update({"manager": [self.hosts[0]], "worker": self.hosts[1:]})
        slots = self.env.get("SLOTS", 1)

        with en.actions(roles=self.roles["manager"]) as a:
            a.copy(content="secret", dest="/tmp/grid-token", task_name="write the token")
        with en.actions(roles=self.roles, pattern_hosts="worker") as a:
            a.file(path="/tmp/grid", state="directory")
            a.shell(f"echo {self.hosts[0].address} {slots} > /tmp/grid/manager")

        token = en.run_command("cat /tmp/grid-token", roles=self.roles["manager"])[0].stdout
        self.logger.info(f"{self.layer_name}.{self.service_name}.{self.service_id}: {len(self.hosts)} hosts")
        self.register_service(hosts=[self.hosts[0]], service_port=8081, sub_service="manager", extra=[{"token": token}])
        self.register_service(
            roles=self.roles["worker"],
            service_port=6121,
            sub_service="worker",
            extra=[{"slots": slots} for _ in self.roles["worker"]],
        )
        return self.service_extra_info, self.service_roles

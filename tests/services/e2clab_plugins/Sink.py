"""As plugins of E2Clab look: one machine after the other, metadata and addresses, a logger of E2Clab."""

from e2clab.errors import E2clabServiceError
from e2clab.log import get_logger
from e2clab.services import Service
from enoslib import Roles
from enoslib.api import actions, run_command

logger = get_logger(__name__, ["SINK"])


class Sink(Service):
    def __init__(self, hosts, service_metadata):
        super().__init__(hosts, service_metadata)
        self.port = int(service_metadata["port"])

    def deploy(self):
        if not self.hosts:
            raise E2clabServiceError("nothing to deploy on")
        for host in self.hosts:
            (address,) = [a for a in host.filter_addresses() if a.ip.version == 6]
            with actions(roles=[host], gather_facts=False) as a:
                a.copy(content=f"{address.ip.ip}\n{{{{ inventory_hostname }}}}", dest="/tmp/sink")
            self.register_service(hosts=[host], service_port=self.port)
        results = run_command("wc -l </tmp/sink", roles=Roles({"sinks": self.hosts}))
        logger.warning("%s sinks", len(results.filter(rc=0)))
        assert self.service_roles["cloud.grid.1.2"][0].extra["_self"]["url"].endswith(f":{self.port}")

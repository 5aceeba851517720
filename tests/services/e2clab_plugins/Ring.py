"""As plugins of E2Clab look: roles of their own, facts, playbooks, code that plugins share, IPv6 addresses."""

import enoslib as en
from e2clab.services import Service
from e2clab.services.plugins._ring import neighbour
from enoslib.api import gather_facts, generate_inventory, play_on, run, run_ansible, wait_for


class Ring(Service):
    def deploy(self):
        wait_for(roles=self.roles)
        self.roles["first"] += [self.hosts[0]]
        self.roles.extend(en.Roles(ring=self.hosts))
        facts = gather_facts(roles=self.roles)
        assert set(facts["ok"]) == {host.alias for host in self.hosts}

        with play_on(roles=self.roles, pattern_hosts="ring", extra_vars={"word": "hello"}) as p:
            p.set_fact(size=len(self.hosts))
            p.copy(content="{{ word }} {{ size }}", dest="/tmp/ring")
            p.command("test -e /nowhere", ignore_errors=True)
        with open("ring.yml", "w") as file:
            file.write("- hosts: first\n  gather_facts: false\n  tasks:\n  - shell: echo {{ tail }} >> /tmp/ring\n")
        run_ansible(["ring.yml"], roles=self.roles, extra_vars={"tail": "first"})
        generate_inventory(self.roles, {}, "hosts.ini")

        read = run("cat /tmp/ring", roles=self.roles["ring"])
        assert all(one.ok for one in read)
        words = {one.host: one.stdout for one in read}
        extra = []
        for place, host in enumerate(self.hosts):
            after = self.hosts[neighbour(place, len(self.hosts))]
            (six,) = [str(one.ip.ip) for one in after.filter_addresses(include_unknown=True) if one.ip.version == 6]
            extra.append({"rank": place, "next": six, "words": words[host.alias]})
        info, roles = self.register_service(
            roles=self.roles["ring"], service_port=4444, sub_service="member", extra=extra
        )
        for key, hosts in roles.items():
            assert hosts[0].extra["_self"] == info[key]

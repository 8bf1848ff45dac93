"""The table: pattern of a check's name, likely causes, lines to paste in which <part> stands for that of the name."""

from __future__ import annotations

# As consul_agent.LOG and traefik.LOG, which cost an import of half the library.
CONSUL_LOG, TRAEFIK_LOG = "/var/log/consul/consul.log", "/var/log/traefik/traefik.log"

# ---- lines to paste ------------------------------------------------------------------------------------------


def _on(host: str, command: str) -> str:
    return f'rb.text(site.access.run({host}, "{command}", check=False).stdout)'


def _plan(step: str) -> str:
    return f'rb.show(site.plan("{step}"))'


_HOST = 'site.host("<host>")'
_BALANCER = 'site.hosts("traefik")[0]'
_SERVER = 'site.hosts("consul", "<cloud>")[0]'
_RULES = "rb.show(rb.firewall(params))"
_TUNNELS = "rb.show(rb.vpn.tunnels(site))"
_LEARNED = "rb.show(rb.vpn.learned(site))"
_MEMBERS = f"rb.show(rb.consul.members(site.access, {_SERVER}))"
_WAN = f"rb.show(rb.consul.members(site.access, {_HOST}, wan=True))"
_WAN_OF_CLOUD = f"rb.show(rb.consul.members(site.access, {_SERVER}, wan=True))"
_CONSOLE = f"rb.text(site.console({_HOST}))"
_CONSUL = _on(_HOST, f"tail -n 50 {CONSUL_LOG}")
_CONSUL_OF_CLOUD = _on(_SERVER, f"tail -n 50 {CONSUL_LOG}")
_TRAEFIK = _on(_HOST, f"tail -n 50 {TRAEFIK_LOG}")
_ROUTERS = f"rb.show(rb.traefik.routers(site.access, {_HOST}))"
_SERVICES = f"rb.show(rb.traefik.services(site.access, {_HOST}))"
_HEALTH = f'rb.show(rb.consul.health(site.access, {_HOST}, "demo"))'
_HEALTH_OF_CLOUD = f'rb.show(rb.consul.health(site.access, {_SERVER}, "demo"))'

# ---- likely causes -------------------------------------------------------------------------------------------

_BY_HAND = "somebody changed it by hand in the cloud's console: the plan names the field and puts it back"
_DOWN = "an agent is not running: it was stopped, its boot script failed, or its keys were not delivered yet"
_GOSSIP_PORT = "port 8301 is closed between the hosts, for TCP or for UDP: gossip needs both"
_WAN_PORT = "port 8302 is closed between the clouds' servers, for TCP or for UDP"
_RPC_PORT = "port 8300 is closed between the clouds' servers, over which questions are passed on"
_NO_VPN = "the VPN is down, or one side has not learned the other's networks"
_UNHEALTHY = "the health check of a web server does not pass: Apache is stopped or hangs, or what it asks for is wrong"
_STALE = "a moment too early: an agent, or Traefik, has not heard of the change yet; run the cell again"
_ROLE = "a role's boot script is of an older plan; the plan of its step says so and replaces the host"
_LEFT = "a step was cut short, and its plan is not empty: apply it"
_NOT_SERVED = (
    _STALE,
    "the service is not registered, or without the tag that the load balancers' constraint asks for",
    _UNHEALTHY,
    "Traefik cannot read its agent's catalogue: its log tells of a refused token or connection",
)

# ---- the table -----------------------------------------------------------------------------------------------

# The first pattern that fits counts.
TABLE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # 00_provision
    (
        r"(?:AWS: the VPC's range|AWS: (?:public|private) subnets, one a zone|GCP: the (?:public|private) subnet)",
        ("the network was made with other ranges or zones than the parameters say now", _BY_HAND, _LEFT),
        (_plan("00_provision"), "rb.architecture(site)"),
    ),
    (
        r"AWS: (?:the NAT gateway stands in .*|private hosts go out by it|public hosts go straight)",
        ("a route table has another default route than the plan wants", "the NAT gateway was lost", _BY_HAND),
        (
            _plan("00_provision"),
            'rb.show(site.found()[f"aws:route_table:{params.deployment}-private"].spec)',
        ),
    ),
    (
        r"GCP: (?:private hosts go out by the bastion.*|the bastion may forward packets)",
        ("the bastion was replaced, and the route still names the old one", _BY_HAND, _LEFT),
        (_plan("00_provision"), 'rb.text(site.console(site.host("bastion-gcp")))'),
    ),
    (
        r"AWS: instances may only list instances",
        ("somebody gave the role more rights, or took its one right away", _LEFT),
        (_plan("00_provision"),),
    ),
    (
        r"(?P<step>\d\d_\w+): still to do",
        (_LEFT, "somebody changes the deployment at this moment", _BY_HAND),
        ('rb.show(site.plan("<step>"))',),
    ),
    (
        r"(?:AWS|GCP): AS number",
        ("the gateway was made with another aws_asn or gcp_asn than the parameters say now", _BY_HAND),
        (_plan("00_provision"),),
    ),
    (
        r"(?:AWS: tunnels up|GCP: tunnels established)",
        (
            "still negotiating: a minute or two on real clouds; run the cell again",
            "the ends do not agree: another key, another address of the peer, or no cipher in common",
            "BGP is down, for which AWS calls a tunnel down: an inside address or an AS number is wrong",
        ),
        (_TUNNELS, _plan("00_provision")),
    ),
    (
        r"AWS: learned routes reach the \w+ subnets",
        ("route propagation is off for this route table: AWS learns GCP's networks and keeps them to itself", _BY_HAND),
        (_plan("00_provision"), _LEARNED),
    ),
    (
        r"(?:AWS: networks that the \w+ subnets learned|GCP: (?:BGP sessions.*|networks that the router learned))",
        (
            "a BGP session is not established yet: it comes after its tunnel",
            "an inside address or an AS number differs between the two ends",
            "a side announces other networks than the parameters say",
        ),
        (_LEARNED, _TUNNELS, _plan("00_provision")),
    ),
    (
        r"(?P<cloud>aws|gcp)'s bastion reaches \w+'s at .*",
        (_NO_VPN, "a firewall does not let the other bastion in on port 22", "the other bastion is not running"),
        (_LEARNED, _TUNNELS, _RULES, _plan("00_provision")),
    ),
    # 01_bootstrap
    (
        r"(?P<cloud>aws|gcp): (?:servers|zones|servers with a public address)",
        ("an instance was destroyed, or made by somebody else under this name", _LEFT),
        (_plan("01_bootstrap"), 'rb.show(site.hosts("consul", "<cloud>"))'),
    ),
    (
        r"(?P<cloud>aws|gcp): (?:all (?:servers )?name one leader|a leader|voters|servers alive|datacenter)",
        (
            _DOWN,
            "fewer than a majority of the servers run, so none may lead",
            "a server that joined within the last ten seconds does not vote yet",
            "port 8300 or 8301 is closed between the servers",
        ),
        (_CONSUL_OF_CLOUD, _MEMBERS, f"rb.text(site.console({_SERVER}))", _RULES),
    ),
    (
        r"(?P<cloud>aws|gcp): (?:the servers' tag|their instance profile|their scopes)",
        (_BY_HAND, "without it auto-join finds nobody, or is refused by the cloud's API"),
        (_plan("01_bootstrap"),),
    ),
    (
        r"(?P<host>\w+-[\w-]+): its log tells whom the cloud's API named",
        (
            "the API refused: the scope (GCP) or the instance profile (AWS) is missing",
            "no way to the API: the NAT gateway or GCP's bastion does not pass the host's packets on",
            "no instance carries the tag that is asked for",
        ),
        (_on(_HOST, f"grep -i discover {CONSUL_LOG} | tail -n 20"), _plan("01_bootstrap"), _plan("00_provision")),
    ),
    (
        r"(?P<cloud>aws|gcp): servers found through the cloud's API",
        ("a server lacks the tag, so that nobody is told of it", "somebody else's instances carry the same tag"),
        (_on(_SERVER, f"grep -i discover {CONSUL_LOG} | tail -n 20"), _plan("01_bootstrap")),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:retry_join|datacenter and address, from its metadata|servers awaited|data)",
        (_ROLE, "the file was edited on the host", "the metadata service answered something else at boot"),
        (_on(_HOST, "cat /etc/consul/consul.json"), _CONSOLE),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:runs as|restarts|consul runs again)",
        ("the service is not running, or was started by hand", "the unit file was edited on the host"),
        (_on(_HOST, "systemctl status consul; cat /etc/systemd/system/consul.service"), _CONSUL),
    ),
    (
        r"(?P<host>\w+-[\w-]+): syslog has its lines",
        ("no syslog daemon or journal runs on the host", "the agent has never started"),
        (_on(_HOST, "ls -l /var/log; tail -n 20 /var/log/syslog"), _CONSOLE),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:consul\.service\.consul, through dnsmasq|resolves [\w.-]+)",
        (
            "dnsmasq is not running, or something rewrote /etc/resolv.conf",
            "the agent does not answer DNS at port 8600",
            "a server has left: only those that are alive are in the answer",
        ),
        (_on(_HOST, "cat /etc/resolv.conf /etc/dnsmasq.conf; systemctl status dnsmasq"), _CONSUL),
    ),
    (
        r"(?P<host>\w+-[\w-]+): the console's last line",
        ("the boot script failed: the last lines of the console say at which command", "it is still running"),
        (_CONSOLE,),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:gossip encrypted|TLS: .*|without a token|its API listens at)",
        (
            "the host was set up at the other level of the parameter security",
            "its keys were not delivered, or its agent was not restarted after that",
            "a file below /etc/consul was edited",
        ),
        (_on(_HOST, "ls -l /etc/consul; ss -Hltn 'sport = :8500'"), _CONSUL, _plan("01_bootstrap")),
    ),
    (
        r"(?P<host>\w+-[\w-]+): who may read its secrets",
        ("a file's owner or mode was changed on the host: delivering the keys again puts it right",),
        (_on(_HOST, "find /etc -path '/etc/consul/*' -ls -o -path '/etc/traefik/*' -ls"),),
    ),
    # 02_federate
    (
        r"(?P<host>\w+-[\w-]+): (?:the WAN pool, alive|datacenters)",
        (_WAN_PORT, _NO_VPN, "02_federate has not run since a server was replaced", "a server is not running"),
        (_WAN, _CONSUL, _TUNNELS, _RULES),
    ),
    (
        r"(?P<cloud>aws|gcp): servers that the WAN pool misses",
        (_WAN_PORT, _NO_VPN, "02_federate has not run since a server was replaced", "a server is not running"),
        (_WAN_OF_CLOUD, _CONSUL_OF_CLOUD, _TUNNELS, _RULES),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:asks \S+ for its servers|\w+ asked with dc=\S+)",
        (_RPC_PORT, _NO_VPN, "the other datacenter has no leader", "nothing is registered there"),
        (_WAN, _CONSUL, _TUNNELS, _RULES),
    ),
    (
        r"(?P<cloud>aws|gcp): \w+ in \w+, asked across",
        (_RPC_PORT, _NO_VPN, "the other datacenter has no leader", "nothing is registered there"),
        (_WAN_OF_CLOUD, _CONSUL_OF_CLOUD, _TUNNELS),
    ),
    (
        r"(?P<host>\w+-[\w-]+): retry_join_wan",
        ("02_federate has not run since a server of the other cloud was replaced", "the file was edited on the host"),
        (_on(_HOST, "cat /etc/consul/wan.json"), 'rb.show(site.hosts("consul"))'),
    ),
    # 03_traefik
    (
        r"(?P<host>\w+-[\w-]+): (?:answers the public on port 80.*|traefik runs again)",
        (
            "Traefik is not running: its boot script failed, or its password file was not delivered",
            "the firewall does not let the public in on port 80",
            "GCP: the host carries a tag whose route sends its answers out by the bastion",
        ),
        (_TRAEFIK, _on(_HOST, "systemctl status traefik; ss -Hltn"), _CONSOLE, _RULES),
    ),
    (
        r"(?P<host>\w+-[\w-]+): other ports open to the public",
        ("somebody added a rule by hand, or widened one", "the rules are the article's: see the parameter security"),
        (_plan("00_provision"), _RULES, _on(_HOST, "ss -Hltn")),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:dashboard .*|provider)",
        (
            "Traefik is not running, or could not read its configuration",
            "the password on the host is another one than the operator's: deliver the keys again",
            "Traefik has no token for its agent, so that its provider does not start",
        ),
        (_TRAEFIK, _on(_HOST, "ls -l /etc/traefik; systemctl status traefik")),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:reads the local agent|watches, with prefix|only services so tagged)",
        (_ROLE, "the file was edited on the host"),
        (_on(_HOST, "cat /etc/traefik/traefik.yml"), _plan("03_traefik")),
    ),
    (
        r"(?P<cloud>aws|gcp): (?:alive in the LAN pool|clients alive|agents that are not alive)",
        (_STALE, _DOWN, _GOSSIP_PORT, "the client's certificate or gossip key is of another deployment"),
        (_MEMBERS, _CONSUL_OF_CLOUD, _RULES),
    ),
    (
        r"(?P<host>\w+-[\w-]+): tags",
        (_BY_HAND, "with another tag GCP sends the answers out by the bastion, and no visitor recognises them"),
        (_plan("03_traefik"),),
    ),
    # 04_test
    (
        r"(?P<host>\w+-[\w-]+): (?:answered by|route)",
        _NOT_SERVED,
        (_ROUTERS, _SERVICES, _TRAEFIK, _HEALTH),
    ),
    (
        r"requests that failed",
        _NOT_SERVED,
        (
            f"rb.show(rb.traefik.services(site.access, {_BALANCER}))",
            _on(_BALANCER, f"tail -n 50 {TRAEFIK_LOG}"),
        ),
    ),
    (
        r"curl \S+, mapped to (?P<host>\w+-[\w-]+)",
        ("the bastion is not let in on port 80 of that address", *_NOT_SERVED),
        (_ROUTERS, _SERVICES, _TRAEFIK, _RULES),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:\w+, passing|port and tags)",
        ("the service is not registered: run the cell that does", _UNHEALTHY, "its agent is not alive"),
        (_HEALTH, _CONSUL, 'rb.text(site.console(site.hosts("web")[0]))'),
    ),
    (
        r"(?P<cloud>aws|gcp): \w+, passing",
        (_UNHEALTHY, "an agent of a web server is not alive", "the service is not registered: run 04_test"),
        (_HEALTH_OF_CLOUD, _MEMBERS),
    ),
    (
        r"probes that .*",
        (
            "somebody added, widened or closed a rule by hand",
            "the VPN is down: then nothing crosses by private addresses",
            "a host was busy and lost packets: run the probe again",
        ),
        (_plan("00_provision"), _RULES, _TUNNELS),
    ),
    (
        r"(?:answers by \S+ (?:once it had left|after its return)|failed requests (?:once it had left|after its return|"
        r"once the only one had left)|requests while it was (?:watched|away))",
        (
            "the web server was not stopped, or did not come back",
            "Traefik does not hear of checks: watch is off, or the service has no check",
            "something else failed at the same time: see the picture above",
        ),
        (
            'rb.show(rb.traefik.services(site.access, site.hosts("traefik")[0]))',
            'rb.show(rb.consul.health(site.access, site.hosts("consul", "gcp")[0], "demo"))',
            _on('site.hosts("web")[0]', "systemctl status demo-web"),
        ),
    ),
    # 05_teardown
    (
        r"(?P<cloud>aws|gcp): resources of [\w-]+",
        (
            "something of another deployment or made by hand stands on it, and the cloud refuses to destroy it",
            "a deletion is still under way: run the cell again",
            "another operator is at work",
        ),
        (_plan("05_teardown"), "site.left()"),
    ),
    # 06_resilience
    (
        r"(?P<host>\w+-[\w-]+): (?:its leader|\w+, asked (?:as usual|with stale))",
        ("the service manager started a killed server again, so that there was a majority", "more servers than three"),
        (_CONSUL, f"rb.show(rb.consul.peers(site.access, {_HOST}))"),
    ),
    (
        r"(?:bastions of (?P<cloud>aws|gcp)|(?P<host>bastion-\w+) is another instance)",
        ("the plan of 00_provision was not applied to its end", "another operator is at work"),
        (_plan("00_provision"), 'rb.show(site.hosts("bastion"))'),
    ),
    (
        r"(?P<host>\w+-[\w-]+): (?:its check|a write)",
        ("the fault did not take hold, or was mended too early", "the agent has no check for the service"),
        (_HEALTH, _on(_HOST, "df -h /var/tmp; ps -C apache2 -o pid,stat,args")),
    ),
    (
        r"(?:what visitors saw became steady|failed requests (?:through .*|once all was whole))",
        (
            "something else failed at the same time: the picture above shows when, by load balancer",
            "the machine is too busy: visitors give up after four seconds",
        ),
        (
            "rb.show(list(rb.resilience.whole(site)))",
            'rb.show(rb.traefik.services(site.access, site.hosts("traefik")[0]))',
        ),
    ),
)

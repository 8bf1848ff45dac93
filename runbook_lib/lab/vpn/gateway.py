"""One network's VPN gateway: the namespace between its router and its tunnels.

    router ──[VPN]── gateway ──[tunN]── tunnel end

Packets pass from the network into a tunnel, as BIRD (or the stand-in) routes them, and from a tunnel into the
network; nothing else passes, and nothing else leads out. Only tunnels may speak to the gateway itself: BGP.
"""

from __future__ import annotations

from .. import fabric, netns
from ..router import Router

# The link between router and gateway; every such link is alone in its two namespaces.
ROUTER, GATEWAY = "100.65.0.0", "100.65.0.1"
_TABLE = 200
# Counted where packets have passed a tunnel, and where they are about to.
RULES = f"""table ip vpn {{
  counter received {{ }}
  counter sent {{ }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname {{ "lo", "tun*" }} accept
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    iifname "tun*" oifname "{fabric.VPN}" counter name received accept
    iifname "{fabric.VPN}" oifname "tun*" counter name sent accept
  }}
}}
"""


class Gateway:
    """The VPN gateway of one router.

    Args:
        router: the network's router, started.
    """

    def __init__(self, router: Router) -> None:
        self.namespace = f"vpn-{router.namespace}"
        self.router = router

    def start(self) -> None:
        """Make the namespace and the link to the router."""
        netns.add(self.namespace)
        netns.sysctl(
            [
                ("net/ipv4/ip_forward", "1"),
                ("net/ipv4/conf/all/send_redirects", "0"),
                # Several tunnels lead to one network: an answer need not come by the way of its question.
                ("net/ipv4/conf/all/rp_filter", "0"),
                ("net/ipv4/conf/default/rp_filter", "0"),
                # By flow, not by destination: of several tunnels all are used (Linux's ip-sysctl.rst).
                ("net/ipv4/fib_multipath_hash_policy", "1"),
            ],
            self.namespace,
        )
        netns.load(RULES, self.namespace)
        netns.batch(
            [f"link add {fabric.VPN} type veth peer name {fabric.VPN} netns {self.router.namespace}"], self.namespace
        )
        netns.batch(
            [
                f"addr add {GATEWAY}/31 dev {fabric.VPN}",
                f"link set {fabric.VPN} up",
                # What the network sends goes where the tunnels' routes say; what comes out of a tunnel goes to the
                # network, whatever the other end announced.
                f"rule add pref 100 iif {fabric.VPN} lookup main",
                "rule add pref 101 iif lo lookup main",
                f"rule add pref 102 lookup {_TABLE}",
                f"route add default via {ROUTER} dev {fabric.VPN} table {_TABLE}",
            ],
            self.namespace,
        )
        self.router.link_vpn(ROUTER, GATEWAY)

    def stop(self) -> None:
        """Take it away; the link goes with it."""
        self.router.unlink_vpn()
        netns.delete(self.namespace)

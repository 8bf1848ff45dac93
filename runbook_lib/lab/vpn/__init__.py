"""The VPN between the clouds: real tunnels where this machine can have them, a plain link where it cannot.

negotiate.py   which tunnels would come up, decided without any daemon; pure
config.py      what strongSwan and BIRD are told; pure
words.py       what they say, and a tunnel's state from it; pure
end.py         one tunnel end: a charon
bird.py        one gateway's BGP
gateway.py     the namespace between a network's router and its tunnels
carriers.py    tunnels, and the link that stands in
cut.py         tunnels cut on purpose
service.py     the thread that keeps it all in line with the APIs
control.py     the VPN seen from the machine: looked at, cut and healed
"""

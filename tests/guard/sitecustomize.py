"""No network but this machine: every Python that finds this file on its path obeys.

The tests put this folder on PYTHONPATH, so that kernels, JupyterLab and the command line are
guarded like the test process itself. COURSE_NETWORK_GUARD=off switches it off for one process
tree. An audit hook sees what every library does, and nothing can remove it.
"""

import os
import sys

LOCAL_NAMES = {"", "localhost", "localhost.localdomain", "ip6-localhost"}
LOOK_UPS = {
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.getnameinfo",
}
SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def is_local(host):
    """Whether a host name or address means this machine."""
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
    if name.lower().rstrip(".") in LOCAL_NAMES:
        return True
    import ipaddress  # here, so that a Python that never looks beyond starts as fast as ever

    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def refuse_outside(event, args):
    """The audit hook: raise OSError before anything leaves this machine."""
    if event in SENDS:
        address = args[1]
        # No tuple: a Unix socket, or one that was connected (and checked) before. No text in
        # it: a family that stays inside the machine, such as Netlink.
        host = address[0] if isinstance(address, tuple) else None
        host = None if isinstance(host, int) else host
    elif event in LOOK_UPS:
        host = args[0][0] if isinstance(args[0], tuple) else args[0]
    else:
        return
    if not is_local(host):
        import errno

        raise OSError(
            errno.ENETUNREACH,
            f"The tests run offline and {host!r} is not this machine: point the code at the "
            "stand-in server, or mark the test `registry`",
        )


if os.environ.get("COURSE_NETWORK_GUARD", "on") != "off":
    # JupyterLab looks its own name up; that question stays inside the machine.
    own_name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    LOCAL_NAMES.add(own_name.lower())
    sys.addaudithook(refuse_outside)

"""What testbeds were known to offer when this was written. They change: an unknown name is only a warning."""

from __future__ import annotations

import re

_CLUSTERS = """
    abacus1 abacus10 abacus11 abacus12 abacus14 abacus16 abacus17 abacus18 abacus19 abacus2 abacus20 abacus21
    abacus22 abacus25 abacus26 abacus27 abacus28 abacus3 abacus4 abacus5 abacus8 abacus9 chetemi chiclet chifflet
    chifflot chirop chiroptera chuc dahu drac econome ecotype edel engelbourg estats esterel1 esterel10 esterel11
    esterel12 esterel2 esterel22 esterel23 esterel24 esterel25 esterel26 esterel27 esterel3 esterel31 esterel32
    esterel33 esterel4 esterel41 esterel42 esterel43 esterel5 esterel6 esterel7 fleckenstein gemini graffiti
    graoully graphene graphique graphite grappe grat grcinq grdix grele griffon grimani grimoire grisou gros
    grosminet grostiti grouille grue gruss grvingt hercule hydra kinovis larochette mercantour1 mercantour2
    mercantour3 mercantour4 mercantour5 mercantour6 mercantour7 montcalm musa neowise nessie nova orion paradis
    paradoxe paranoia parapide parapluie parasilo parasol paravance pastel petitprince pyxis roazhon1 roazhon10
    roazhon11 roazhon12 roazhon13 roazhon2 roazhon3 roazhon4 roazhon5 roazhon6 roazhon7 roazhon8 roazhon9 sagittaire
    sasquatch servan sirius spirou suno taurus troll uvb vercors1 vercors2 vercors3 vercors4 vercors5 vercors6
    vercors8 vianden yeti
"""
_SITES = """
    grenoble lille lyon nancy paris rennes rocquencourt saclay strasbourg toulouse
"""
_ARCHIS = """
    a8:at86rf231 arduino-zero:xbee berta:multi dwm1001:dw1000 firefly:multi fox:at86rf231 frdm-kw41z:multi
    hikob:at86rf231 im880b:sx1272 leonardo:xbee m3:at86rf231 microbit:ble nrf51dk:ble nrf52832mdk:ble
    nrf52840dk:multi nrf52840mdk:multi nrf52dk:ble nrf5340dk:multi nrf9160dk:multi phynode:kw2xrf pycom:multi
    rpi3:none rtl:multi samr21:at86rf233 samr30:at86rf212b st-iotnode:multi st-lrwan1:sx1276 wsn430:cc1101
    wsn430:cc2420 zigduino:atmega128rfa1
"""

G5K_CLUSTERS = frozenset(_CLUSTERS.split())
"""Clusters of Grid'5000, those that were retired included."""
IOTLAB_SITES = frozenset(_SITES.split())
"""Sites of FIT IoT-LAB."""
IOTLAB_ARCHIS = frozenset(_ARCHIS.split())
"""Architectures of FIT IoT-LAB, board and radio."""
IOTLAB_LINUX = ("a8", "rpi")
"""What names and architectures of IoT-LAB nodes begin with that run Linux; all others are boards with a firmware."""


def runs_linux(name: str) -> bool:
    """Whether an IoT-LAB node of that name or architecture is a host; else it is a board."""
    return name.lower().removeprefix("node-").startswith(IOTLAB_LINUX)


_JOB_TYPES = """
    allow_classic_ssh besteffort constraints container cosystem day deploy destructive exotic inner monitor night noop
    placeholder allowed project set_placeholder timesharing weekend
"""
G5K_JOB_TYPES = frozenset(_JOB_TYPES.split())
"""Job types of OAR on Grid'5000."""

KWOLLECT_METRICS = re.compile(r"all|(wattmetre|bmc|prom|network|pdu|snmp|ipmi)_.+")

QUANTITY_MUCH = 1000
"""Machines of one service above which a slip of the pen is likelier than a wish."""

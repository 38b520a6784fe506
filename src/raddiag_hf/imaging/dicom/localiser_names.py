"""Localiser names: what the series from which a scan was planned is called, in any language."""

import re
import unicodedata

_WORDS = re.compile(
    "locs?|lok|scouts?|skaut|scano|scanogramm?e?|topo|surv|surveys?|pilot[aeos]?"
    "|smart(brain|exam|spine|knee|shoulder|breast|liver|heart|plan)|planscan|planscout"
    "|reperages?|centratura|ue?bersicht(en|saufnahmen?)?|overzicht|oversi[kg]t|posizionamento"
)
_STEMS = (
    r"lo[ck]ali[sz]z?(er|or|ator|ateur|ador|atore|adora|atie|ering|ierung|acni|avimo|acja|acio)",
    r"scout(view|scan|s)?$",
    "surview",
    "lokali[sz]ation",
    "topogram",
    "paikannu",  # Finnish
    "lokato?r",
    "yonlendir",  # Turkish
)
_STEM = re.compile("|".join(f"^(?:{stem})" for stem in _STEMS))
_PLANES = re.compile(
    r"(?<![0-9a-z])(?:3|three|tri|drei|tre|tres|trois)[ _.-]*"
    r"(?:pl|plane?s?|planar|pla[nos]+|plani|piani|plans|ebenen|vlakken)(?![a-z])"
)
_UNSPACED = re.compile(
    "定位|スカウト|位置決め|ローカライ|ロケータ|로컬라이|스카우트|위치결정|локал(?:ай|из)|топограм|скаут|обзорн"
    "|сурвью|пилот|τοπογρ|ανιχνευ|كشاف|سكاوت|טופוגר|סקאוט|लोकलाइज़र"
)
"""Chinese, Japanese, Korean, Russian and others, whose words are not cut by spaces or inflect."""
_REFORMATTED = re.compile(r"mpr|reform|recon|mip")
_WHOLE_BODY = re.compile(r"skelet|bone|metasta|marrow|myeloma|knochen|osseu")
"""A survey of these is read."""


def is_named_localiser(description: str) -> bool:
    """Tell whether a series bears a localiser's name, in whichever language and spelling.

    Words may be run together with underscores, digits and capitals: ``AAHead_Scout``.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", description)
    text = unicodedata.normalize("NFKD", text)
    if _UNSPACED.search(unicodedata.normalize("NFKC", description).lower()):
        return True
    text = "".join(one for one in text if not unicodedata.combining(one)).casefold()
    text = text.replace("ı", "i")
    if _PLANES.search(text) and not _REFORMATTED.search(text):
        return True
    words = [word for word in re.split(r"[^a-z]+", text) if word]
    words += re.findall(r"[a-z]+", description.casefold())
    named = {word for word in words if _WORDS.fullmatch(word) or _STEM.search(word)}
    if named and named <= {"survey", "surveys", "surv"}:
        return not _WHOLE_BODY.search(text)
    return bool(named)

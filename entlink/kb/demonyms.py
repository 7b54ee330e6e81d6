"""Adjectives of countries: "American film director" in descriptions, "American troops" in texts."""

from __future__ import annotations

import re
from functools import lru_cache

from entlink.kb.aliases import normalise
from entlink.records import Entity

_IS_COUNTRY = re.compile(
    r"\b(?:country|countries|sovereign|republic|kingdom|empire|nation|monarchy|island)\b",
    re.IGNORECASE,
)

_IRREGULAR = """
United States of America=American|United States=American|United Kingdom=British
Kingdom of England=English|England=English|Scotland=Scottish|Kingdom of Scotland=Scottish
Wales=Welsh|Ireland=Irish|Republic of Ireland=Irish|Northern Ireland=Northern Irish
Irish Free State=Irish|United Kingdom of Great Britain and Ireland=British
Kingdom of Great Britain=British|Great Britain=British|British Empire=British|France=French
Germany=German|German Empire=German|Weimar Republic=German|Nazi Germany=German
East Germany=East German|German Democratic Republic=East German|West Germany=West German
German Reich=German|Kingdom of Prussia=Prussian|Prussia=Prussian|German Confederation=German
Holy Roman Empire=German|Electorate of Saxony=Saxon|Kingdom of Bavaria=Bavarian
Austria=Austrian|Austria-Hungary=Austro-Hungarian|Austrian Empire=Austrian
Austria–Hungary=Austro-Hungarian|Cisleithania=Austrian|Hungary=Hungarian
Kingdom of Hungary=Hungarian|Italy=Italian|Kingdom of Italy=Italian|Kingdom of Sardinia=Sardinian
Republic of Venice=Venetian|Republic of Florence=Florentine|Papal States=Italian|Spain=Spanish
Portugal=Portuguese|Kingdom of Portugal=Portuguese|Netherlands=Dutch
Kingdom of the Netherlands=Dutch|The Netherlands=Dutch|Dutch Republic=Dutch|Belgium=Belgian
Luxembourg=Luxembourgish|Switzerland=Swiss|Denmark=Danish|Kingdom of Denmark=Danish
Norway=Norwegian|Sweden=Swedish|Finland=Finnish|Grand Duchy of Finland=Finnish|Iceland=Icelandic
Greece=Greek|Ancient Greece=ancient Greek|Kingdom of Greece=Greek|Turkey=Turkish
Ottoman Empire=Ottoman|Byzantine Empire=Byzantine|Ancient Rome=ancient Roman|Roman Empire=Roman
Roman Republic=Roman|Russia=Russian|Russian Empire=Russian|Tsardom of Russia=Russian
Soviet Union=Soviet|Russian Soviet Federative Socialist Republic=Soviet|Ukraine=Ukrainian
Ukrainian Soviet Socialist Republic=Ukrainian|Belarus=Belarusian|Poland=Polish
Polish–Lithuanian Commonwealth=Polish|Second Polish Republic=Polish|Czech Republic=Czech
Czechoslovakia=Czechoslovak|Slovakia=Slovak|Slovenia=Slovenian|Croatia=Croatian|Serbia=Serbian
Bosnia and Herzegovina=Bosnian|Montenegro=Montenegrin|North Macedonia=Macedonian
Republic of Macedonia=Macedonian|Yugoslavia=Yugoslav|Kingdom of Yugoslavia=Yugoslav
Socialist Federal Republic of Yugoslavia=Yugoslav|Albania=Albanian|Bulgaria=Bulgarian
Romania=Romanian|Moldova=Moldovan|Estonia=Estonian|Latvia=Latvian|Lithuania=Lithuanian
Georgia=Georgian|Armenia=Armenian|Azerbaijan=Azerbaijani|Cyprus=Cypriot|Malta=Maltese
Monaco=Monegasque|Canada=Canadian|Mexico=Mexican|Brazil=Brazilian|Argentina=Argentine
Chile=Chilean|Peru=Peruvian|Colombia=Colombian|Venezuela=Venezuelan|Ecuador=Ecuadorian
Bolivia=Bolivian|Paraguay=Paraguayan|Uruguay=Uruguayan|Cuba=Cuban|Jamaica=Jamaican|Haiti=Haitian
Dominican Republic=Dominican|Puerto Rico=Puerto Rican|Guatemala=Guatemalan|Honduras=Honduran
El Salvador=Salvadoran|Nicaragua=Nicaraguan|Costa Rica=Costa Rican|Panama=Panamanian
Trinidad and Tobago=Trinidadian|Barbados=Barbadian|The Bahamas=Bahamian|Bahamas=Bahamian
Guyana=Guyanese|Suriname=Surinamese|China=Chinese|People's Republic of China=Chinese
Qing dynasty=Chinese|Ming dynasty=Chinese|Republic of China=Chinese|Taiwan=Taiwanese
Hong Kong=Hong Kong|Japan=Japanese|Empire of Japan=Japanese|South Korea=South Korean
North Korea=North Korean|Korea=Korean|Mongolia=Mongolian|India=Indian|British India=Indian
British Raj=Indian|Dominion of India=Indian|Pakistan=Pakistani|Bangladesh=Bangladeshi
Sri Lanka=Sri Lankan|Nepal=Nepalese|Bhutan=Bhutanese|Afghanistan=Afghan|Iran=Iranian
Safavid dynasty=Persian|Iraq=Iraqi|Syria=Syrian|Lebanon=Lebanese|Israel=Israeli
State of Palestine=Palestinian|Palestine=Palestinian|Jordan=Jordanian|Saudi Arabia=Saudi
Yemen=Yemeni|Oman=Omani|United Arab Emirates=Emirati|Qatar=Qatari|Bahrain=Bahraini|Kuwait=Kuwaiti
Kazakhstan=Kazakh|Uzbekistan=Uzbek|Turkmenistan=Turkmen|Kyrgyzstan=Kyrgyz|Tajikistan=Tajik
Thailand=Thai|Vietnam=Vietnamese|Laos=Laotian|Cambodia=Cambodian|Myanmar=Burmese
Malaysia=Malaysian|Singapore=Singaporean|Indonesia=Indonesian|Philippines=Filipino|Brunei=Bruneian
Australia=Australian|New Zealand=New Zealand|Fiji=Fijian|Samoa=Samoan
Papua New Guinea=Papua New Guinean|Egypt=Egyptian|Ancient Egypt=ancient Egyptian|Libya=Libyan
Tunisia=Tunisian|Algeria=Algerian|Morocco=Moroccan|Sudan=Sudanese|Ethiopia=Ethiopian
Eritrea=Eritrean|Somalia=Somali|Kenya=Kenyan|Uganda=Ugandan|Tanzania=Tanzanian|Rwanda=Rwandan
Burundi=Burundian|Democratic Republic of the Congo=Congolese|Republic of the Congo=Congolese
Cameroon=Cameroonian|Nigeria=Nigerian|Ghana=Ghanaian|Ivory Coast=Ivorian|Côte d'Ivoire=Ivorian
Senegal=Senegalese|Mali=Malian|Guinea=Guinean|Liberia=Liberian|Sierra Leone=Sierra Leonean
Togo=Togolese|Benin=Beninese|Gabon=Gabonese|Angola=Angolan|Mozambique=Mozambican|Zambia=Zambian
Zimbabwe=Zimbabwean|Namibia=Namibian|Botswana=Botswanan|South Africa=South African
Madagascar=Malagasy|Mauritius=Mauritian
"""
DEMONYMS: dict[str, str] = dict(
    pair.split("=", 1) for line in _IRREGULAR.split("\n") for pair in line.split("|") if pair
)

# Further words for what is of a place, which descriptions do not use.
_MORE = """
Argentinian=Argentina|Argentinean=Argentina|Slovak=Slovakia|Slovene=Slovenia|Croat=Croatia
Serb=Serbia|Swede=Sweden|Dane=Denmark|Finn=Finland|Pole=Poland|Turk=Turkey|Spaniard=Spain
Briton=United Kingdom|Scot=Scotland|Scots=Scotland|Azeri=Azerbaijan|Chechen=Chechnya
Chechen=Chechen Republic|Tibetan=Tibet|Kurdish=Kurdistan|Catalan=Catalonia|Basque=Basque Country
Bavarian=Bavaria|Sicilian=Sicily|Kosovar=Kosovo|Bosnian=Bosnia|Czech=Czechia|Filipina=Philippines
Argentine=Argentina|European=Europe|African=Africa|Asian=Asia|Californian=California|Texan=Texas
Hawaiian=Hawaii|Quebecer=Quebec|Lebanese=Lebanon|Gambian=The Gambia|Gambian=Gambia|Nigerien=Niger
Chadian=Chad|Malawian=Malawi|Zairean=Zaire|Zairian=Zaire|Mauritanian=Mauritania|Djiboutian=Djibouti
Tongan=Tonga|Maltese=Malta|Maldivian=Maldives|Bermudian=Bermuda|Greenlandic=Greenland
Faroese=Faroe Islands|Kyrgyz=Kirghizia|Burmese=Burma|Timorese=East Timor|Belizean=Belize
Liechtenstein=Liechtenstein|Luxembourger=Luxembourg|New Zealander=New Zealand
Netherlander=Netherlands|Dutchman=Netherlands|Irishman=Ireland|Frenchman=France
Englishman=England|Welshman=Wales|Scotsman=Scotland
"""


@lru_cache(maxsize=1)
def _countries() -> dict[str, tuple[str, ...]]:
    pairs = [(word, country) for country, word in DEMONYMS.items()]
    more = (pair for line in _MORE.split("\n") for pair in line.split("|") if pair)
    pairs += [(word, country) for word, country in (pair.split("=", 1) for pair in more)]
    found: dict[str, list[str]] = {}
    for word, country in pairs:
        plural = word if word.endswith(("s", "sh", "ch", "ese", "hman", "tsman")) else f"{word}s"
        for form in {normalise(word), normalise(plural)} - {normalise(country)}:
            found.setdefault(form, []).append(country)
    return {form: tuple(dict.fromkeys(countries)) for form, countries in found.items()}


def countries_of(surface: str) -> tuple[str, ...]:
    """The places of which the surface is the adjective or whose people it names; mostly none."""
    return _countries().get(normalise(surface), ())


def may_be_country(entity: Entity) -> bool:
    """Do description and types say so? Georgia is a state of the United States as well."""
    return bool(_IS_COUNTRY.search(f"{entity.description or ''} {' '.join(entity.type_names)}"))

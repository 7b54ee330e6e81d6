"""Sentences of composed news reports (reports.py), written for this project.

Fields in braces that become mentions: T0 to T7 teams by their short names, F0 and F1 by their full
ones, C0 to C7 the places of which teams are named; X and Y towns; N1 to N4 countries, A1 to A4
their adjectives; A the adjective of the report's country; W a person's full name, L the last name
alone, O an office before it. The rest only fills: P, Q, R, V people, n m k b d numbers, day, s and
S the sport, cup a competition.
"""

from __future__ import annotations

from typing import NamedTuple


class Frames(NamedTuple):
    """How one kind of report is put together."""

    heads: tuple[str, ...]
    datelines: tuple[str, ...]
    bodies: tuple[str, ...]
    may_shout: bool = False  # sentences may stand in capitals, as tables often do


OFFICES = (
    "President",
    "Prime Minister",
    "Chancellor",
    "King",
    "Queen",
    "Governor",
    "Senator",
    "Pope",
)
CUPS = (
    "World Cup qualifier",
    "European championship qualifier",
    "friendly",
    "Nations Cup group match",
    "Asian Cup match",
    "test match",
    "one-day international",
    "world championship group match",
    "Tri-nations match",
)
_DATELINES = (
    "{X} 1996-{d2}-{d} ",
    "{X} 1996-{d2}-{d} ",
    "{X} , {N1} 1996-{d2}-{d} ",
    "{C0} 1996-{d2}-{d} ",
    "{X} ( Agency ) - ",
)

NATIONAL = Frames(
    heads=(
        "{s} - {T0} beat {T1} {n}-{m} in {cup} . ",
        "{s} - {T1} hold {T0} to draw in {cup} . ",
        "{s} - {T0} v {T1} {cup} result . ",
        "{s} - {P} included in {T0} squad . ",
        "{s} - {T0} name team to face {T1} . ",
        "{s} - {T0} win toss , put {T1} in to bat . ",
        "{s} - {T0} and {T1} draw {m}-{m} in {cup} . ",
        "{s} - {cup} results . ",
        "{s} - {P} back for {T0} . ",
        "{s} - {A1} coach {P} quits after {T0} defeat . ",
        "{s} - {T0} scrape home against {T1} . ",
        "{s} - late goal saves {T0} . ",
    ),
    datelines=_DATELINES,
    bodies=(
        "{T0} beat {T1} {n}-{m} ( halftime {m}-{m} ) in a {s} {cup} on {day} . ",
        "{T0} and {T1} drew {m}-{m} in their {s} {cup} on {day} . ",
        "Scorers : {T0} - {P} ( {b}th minute ) , {Q} ( {k}5th , penalty ) {T1} - {R} ( {b}th ) "
        "Attendance : {n}{m},000 ",
        "Scorers : {T1} - {P} ( {k}th ) , {T0} : {Q} ( {b}th ) . Attendance {n},500 . ",
        "Teams : {T0} - 1 - {P} , 2 - {Q} , 5 - {R} ( 14 - {V} , 7{m}th ) {T1} - 1 - {V} , 4 - {R} "
        ", 8 - {P} ",
        "{T1} : 1 - {Q} , 3 - {P} , 6 - {R} {T0} : 1 - {V} , 2 - {Q} , 9 - {P} . ",
        "Standings ( played , won , drawn , lost , goals for , against , points ) : {T2} 3 2 1 0 {n} "
        "{m} 7 {T0} 3 2 0 1 {k} {m} 6 {T1} 3 1 1 1 4 {k} 4 {T3} 2 0 0 2 1 {n} 0 ",
        "{T0} 2 2 0 0 6 {m} 6 {T1} 2 1 0 1 {n} 2 3 {T2} 1 0 0 1 0 {n} 0 . ",
        "{T0} won the toss and elected to bat . ",
        "{T0} were {b}5 for {n} at the close on the first day of the {cup} against {T1} . ",
        "{T1} , replying to {T0} 's {b}8 , were all out for 1{b} . ",
        "{P} , who took {n} for {b} , was left out by {T0} . ",
        "Former {T0} captain {P} said on {day} that he would stop after the match against {T1} . ",
        "{T0} coach {P} said his players had been better than {T1} all evening . ",
        "The {T0} captain , {P} , was injured in training in {X} . ",
        "{P} put {T0} ahead in the {b}th minute with a header . ",
        "{P} scored his first goal for {T0} since the defeat by {T2} in {X} . ",
        "{T0} , without {P} , never looked like losing after {Q} 's early try . ",
        "{P} kicked {n} penalties for {T1} before {T0} crossed the line . ",
        "{T0} will play {T2} and {T3} in the next round . ",
        "{T0} meet {T1} in {X} on {day} . ",
        "{T0} lost to {T1} on penalties and {T2} went through . ",
        "It was the first time that {T1} had won in {N1} . ",
        "The squad : {P} ( captain ) , {Q} , {R} , {V} . ",
        "{T0} will be without {P} , who plays his club {s} in {N2} , for the game in {X} . ",
        "The {A1} referee sent off {P} and {T0} had to go on with ten men . ",
        "The {A2} federation said on {day} that the {cup} would be played in {X} . ",
        "{P} , the {A1} striker , moved to a club in {X} last year . ",
        "The stadium in {X} holds {b},000 people . ",
        "Group {k} : {T0} , {T1} , {T2} , {T3} . ",
        "Results so far : {T0} {n} {T2} {m} ; {T1} {m} {T3} {m} . ",
        "Beating {T0} would take {T1} to the finals in {N2} . ",
    ),
)

CLUBS = Frames(
    heads=(
        "{s} - {T0} beat {T1} to go top . ",
        "{s} - {T0} sign {P} from {T1} . ",
        "{s} - {A} league round-up . ",
        "{s} - {P} gives {T0} victory over {T1} . ",
        "{s} - {T0} manager {P} sacked . ",
        "{s} - {A} champions {T0} lose at home to {T1} . ",
    ),
    datelines=_DATELINES,
    bodies=(
        "{T0} went top of the {A} first division after a {n}-{m} win over {T1} on {day} . ",
        "{T0} signed {P} from {T1} for {n} million pounds on {day} . ",
        "{P} , who played for {T1} and {T2} , takes over at {T0} . ",
        "{F0} said on {day} that {P} would stay until the end of the season . ",
        "{T0} have {b} points , {n} more than {T1} and {T2} . ",
        "{T1} goalkeeper {P} was beaten twice in the first half . ",
        "Former {T0} striker {P} scored twice as {T2} beat {T1} . ",
        "{T0} 's home defeat by {T1} was their third in a row . ",
        "{T0} were held by {T2} , for whom {P} scored in the {b}th minute . ",
        "{P} missed a penalty for {T0} , and {T3} stay in third place . ",
        "The {A} international joined {T0} from {T3} in July . ",
        "{T0} travel to {T1} on {day} , and {T2} are at home to {T3} . ",
        "Police in {X} held {b} fans after the match . ",
        "He was born in {X} and grew up in {Y} . ",
        "The {A} federation fined {T0} and {T1} on {day} . ",
        "{T0} play {T1} in the cup final in {X} . ",
    ),
)

TABLES = Frames(
    heads=(
        "{s} - {A} league results / standings . ",
        "{s} - {A} first division results . ",
        "{s} - {A} division one summaries . ",
        "{s} - {A} league standings . ",
        "{s} - {A} cup results . ",
    ),
    datelines=_DATELINES,
    bodies=(
        "Results of {A} first division matches on {day} : {T0} {n} {T1} {m} {T2} {m} {T3} {m} ",
        "{T0} {n} {T1} {m} {T2} {k} {T3} {n} {T4} 0 {T5} 0 ",
        "Standings ( tabulated under games played , won , drawn , lost , goals for , goals against , "
        "points ) : {T0} 4 3 1 0 {n} {m} 10 {T1} 4 3 0 1 {k} 4 9 {T2} 4 2 2 0 {n} 2 8 {T3} 4 2 1 1 5 3 7 ",
        "{T4} 4 1 3 0 3 2 6 {T5} 4 1 2 1 4 4 5 {T6} 4 0 2 2 {m} 5 2 {T7} 4 0 0 4 1 {k} 0 ",
        "{T0} {n} ( {P} {b} , {Q} 8{m} ) {T1} {m} . Halftime 1-0 . Attendance {b},000 . ",
        "{T1} {m} {T0} {n} ( {P} {k}th minute , {Q} 67th ) . Halftime 0-{m} . Attendance : {n},000 ",
        "Played on {day} : {T2} v {T0} , {T3} v {T1} . Playing {day} : {T4} v {T5} ",
        "{T0} v {T1} , {T2} v {T3} ( {b}30 ) , {T4} v {T5} . ",
        "Postponed : {T3} v {T0} ( frozen pitch ) . ",
        "Division two : {T0} {n} {T1} {m} , {T2} {m} {T3} {k} . ",
    ),
    may_shout=True,
)

LEAGUE = Frames(
    heads=(
        "{s} - major league {s} results . ",
        "{s} - {s} standings after {day} 's games . ",
        "{s} - results of {day} 's games . ",
        "major league {s} standings after {day} 's games ",
        "{s} - pro {s} results / standings . ",
    ),
    datelines=(
        "{X} 1996-{d2}-{d} Results of {s} games played on {day} ( home team in CAPS ) : ",
        "{X} 1996-{d2}-{d} Standings after games played on {day} ( tabulate under won , lost , "
        "winning percentage and games behind ) : ",
        "{X} 1996-{d2}-{d} ",
    ),
    bodies=(
        "EASTERN DIVISION W L PCT GB {T0} 7{m} 57 .567 - {T1} 70 61 .534 {n} 1/2 {T2} 64 67 .489 {b} "
        "{T3} 59 73 .447 1{n} ",
        "CENTRAL DIVISION {T4} 80 51 .611 - {T5} 73 59 .553 {k} 1/2 {T6} 66 66 .500 1{n} ",
        "WESTERN DIVISION {T5} 72 59 .550 - {T7} 69 63 .523 {n} 1/2 {T6} 58 74 .439 1{n} ",
        "NORTHEAST DIVISION W L T GF GA PTS {T0} {b} 6 {n} 87 60 27 {T1} 12 1{m} {m} 70 72 2{n} {T2} 1{m} "
        "9 4 66 71 24 ",
        "{day} , {d} : {T0} at {T1} {T2} at {T3} {T4} at {T5} ",
        "SCHEDULE {T0} AT {T1} {T2} AT {T3} {T4} AT {T5} {T6} AT {T7} ",
        "{T0} {n} {T1} {m} {T2} 1{m} {T3} {k} {T4} {n} {T5} 2 ( {b} innings ) ",
        "{T0} {b} {T1} {k} {T2} {n} {T3} {m} {T4} 10{m} {T5} 9{k} {T6} {k} {T7} {n} ",
        "{T0} at {T1} ( {P} 11-{k} vs {Q} {n}-4 ) , 8:05 {T2} at {T3} ( {R} {b}-7 vs {V} 5-5 ) ",
        "{T3} {b}1 {T2} 9{k} ( OT ) {T1} 8{m} {T0} {b} ",
    ),
    may_shout=True,
)

MATCH = Frames(
    heads=(
        "{s} - {P} leads {T0} past {T1} . ",
        "{s} - {T0} rally to beat {T1} {n}-{m} . ",
        "{s} - {P} scores {b} as {T0} beat {T1} . ",
        "{s} - {T0} trade {P} to {T2} . ",
        "{s} - {F0} beat {F1} . ",
    ),
    datelines=(
        "{C0} 1996-{d2}-{d} ",
        "{C0} 1996-{d2}-{d} ",
        "{C1} 1996-{d2}-{d} ",
        "{X} 1996-{d2}-{d} ",
    ),
    bodies=(
        "{P} had {b} points as the {F0} beat the {F1} {n}8-{n}1 on {day} . ",
        "{P} scored with {n} seconds left and {F0} beat {F1} {n}-{m} . ",
        "In {C1} , {P} hit his {b}th home run and {T1} won for the {n}th time in a row . ",
        "At {C2} , {P} pitched {k} innings and {F2} beat {F3} {n}-{m} . ",
        "In {C0} , {Q} threw for {n} touchdowns as {F0} defeated {F1} . ",
        "{T0} improved to {b}-{k} , and {T1} fell to {k}-{b} . ",
        "{T0} , which lost to {T2} on {day} , has won {n} of its last {k} games . ",
        "{P} , traded by {T3} last month , got {n} hits for {T0} . ",
        "{T1} took a {n}-{m} lead in the third period on a goal by {P} . ",
        "The {T0} bullpen gave up {n} runs in the ninth . ",
        "{T0} is {n} games ahead of {T1} in the division . ",
        "{T2} has lost {n} straight to {T0} . ",
        "{P} , who lives in {C3} , left the game with an injured knee . ",
        "The game at {C0} was stopped for {b} minutes by rain . ",
        "He went to school in {X} before he signed with {T1} . ",
    ),
)

INDIVIDUAL = Frames(
    heads=(
        "tennis - results at {X} open . ",
        "athletics - {X} grand prix results . ",
        "golf - scores at {N1} open . ",
        "cycling - world championship results . ",
        "skiing - {X} world cup results . ",
        "badminton - {N1} open results . ",
        "swimming - leading times in {X} . ",
        "boxing - {A1} champion keeps title . ",
        "tennis - {P} through to {X} semifinals . ",
        "motor racing - {A1} grand prix grid . ",
        "chess - {X} tournament standings . ",
        "marathon - {A2} runner wins in {X} . ",
    ),
    datelines=(
        "{X} 1996-{d2}-{d} ",
        "{X} , {N1} 1996-{d2}-{d} ",
        "{X} 1996-{d2}-{d} Leading results on {day} ( prefix number denotes seeding ) : ",
    ),
    bodies=(
        "{n} - {P} ( {N1} ) beat {Q} ( {N2} ) 6-{n} 4-6 6-{m} {R} ( {N3} ) beat {k} - {V} ( {N4} ) 7-6 6-{n} ",
        "Women 's 100 metres : 1. {P} ( {N1} ) 11.{b} seconds 2. {Q} ( {N2} ) 11.3{m} 3. {R} ( {N3} ) 11.4{m} ",
        "1. {P} ( {N1} ) {n}:3{m}.97{k} 2. {Q} ( {N2} ) {n}:35.2 3. {R} ( {N3} ) {n}:36.0 4. {V} ( {N4} ) ",
        "27{k} {P} ( {N1} ) 69 71 68 2{b} {Q} ( {N2} ) 70 72 71 , {R} 71 70 7{m} ",
        "Javelin : 1. {Q} ( {N2} ) 8{m}.{b} metres 2. {P} ( {N1} ) 84.12 ",
        "{P} of {N1} won the {A2} open on {day} , beating {Q} of {N3} . ",
        "{N1} 's {P} beat {N2} 's {Q} in three sets in {X} . ",
        "The {A1} number one , {P} , lost to the {A2} qualifier {Q} . ",
        "{P} , {N1} , {b} laps ; {Q} , {N2} , +{n}.{b} seconds . ",
        "Medals : {N1} {n} gold , {N2} {m} , {N3} {m} , {N4} one . ",
        "{P} ( {N1} ) stopped {Q} ( {N2} ) in the {k}th round . ",
        "Quarterfinals : {N1} ( {P} , {Q} ) beat {N2} ( {R} , {V} ) 3-{m} . ",
        "She trains in {X} and {Y} , far from her home in {N1} . ",
    ),
)

POLITICS = Frames(
    heads=(
        "{A1} minister meets {A2} counterpart in {X} . ",
        "{N1} and {N2} sign trade pact . ",
        "{A1} troops leave {N2} . ",
        "{N1} says it will not attend {X} talks . ",
        "Grain tender : {N1} buys wheat . ",
        "{A1} shares end higher . ",
        "{N1} releases {n} {A2} fishermen . ",
        "Two killed in {X} blast . ",
    ),
    datelines=(
        "{X} 1996-{d2}-{d} ",
        "{X} , {N1} 1996-{d2}-{d} ",
        "{X} ( Agency ) - ",
    ),
    bodies=(
        "{N1} said on {day} that it would open its border with {N2} . ",
        "The {A1} foreign ministry denied that its ambassador to {N2} had been called home . ",
        "{A1} officials in {X} said talks with the {A2} delegation would go on . ",
        "{n} {A2} citizens were held in {X} , {A1} police said . ",
        "Exports to {N2} fell {k} percent , the {A1} central bank said . ",
        "{A1} President {P} arrives in {X} on {day} . ",
        "A bomb went off in {X} and hurt {n} people , none of them {A2} . ",
        "{N1} , {N2} and {N3} voted for the motion ; {N4} was against it . ",
        "Traders in {X} said {N1} had bought {b},000 tonnes of {A2} wheat . ",
        "The {A3} company will build a plant near {Y} , in {N1} . ",
        "{N2} has {b} soldiers in {N3} , most of them in {X} . ",
        "He has lived in {Y} since he left {N4} . ",
        "The {A1} team of doctors flew to {X} . ",
    ),
)

PEOPLE = (
    (
        "{O} {W} said on {day} that he would not stand again . ",
        "{W} , the {what} , arrived in {X} on {day} . ",
        "A new book about {W} is out this week . ",
        "{W} ( {what} ) was the guest of the evening . ",
        "{what} {W} spoke to reporters in {X} . ",
        "The {what} {W} has been ill since {day} . ",
    ),
    (
        "{L} said it had been a long day . ",
        "Friends of {L} were surprised . ",
        "For {L} , it was the second time . ",
        "{O} {L} was not there . ",
        '" It is too early , " {L} said . ',
        "{L} , who had spent the summer in {Y} , did not want to talk about it . ",
    ),
    (
        "Nobody asked {L} about it . ",
        "It is not known whether {L} will come back . ",
        "Critics of {L} say the same . ",
        "{L} 's plans for the winter are open . ",
        "On {day} , {L} will be in {X} . ",
        "The {L} camp gave no comment . ",
    ),
)

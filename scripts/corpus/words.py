"""The words of the generated corpus but its nouns: plain tables, read by `lexicon.py`.

Every list was written for this project. `_` stands for a blank inside one word.
A German word may stand on several rows with different English words; its `kind`, or the
kind of its subject or object, then decides, so that a dictionary alone cannot translate it.
"""

# Short names for several kinds, used in the tables below.
KINDS = {
    "being": "person,animal",
    "ware": "food,cloth,vehicle,device,text,thing",
    "solid": "food,vehicle,device,text,thing",
    "place": "room,ground",
}

# German (prefix|verb)  3rd person  participle (+ = with sein)  frame  subject kinds  object kinds
# English [/past/participle]
VERBS = """
    sehen sieht gesehen acc being being,ware,place see/saw/seen
    an|sehen sieht angesehen acc person being,ware look_at
    hören hört gehört acc being being hear/heard/heard
    auf|hören hört aufgehört - person - stop/stopped/stopped
    zu|hören hört zugehört dat person person listen_to
    kommen kommt +gekommen dir being - come/came/come
    an|kommen kommt +angekommen - being,vehicle - arrive
    mit|kommen kommt +mitgekommen - being - come/came/come_along
    bekommen bekommt bekommen acc person ware get/got/got
    machen macht gemacht acc person food,cloth make/made/made
    auf|machen macht aufgemacht acc person device,text open
    zu|machen macht zugemacht acc person device,text close
    an|machen macht angemacht acc person device switch_on
    aus|machen macht ausgemacht acc person device switch_off
    nehmen nimmt genommen acc person ware take/took/taken
    mit|nehmen nimmt mitgenommen acc person being,ware take/took/taken_along
    ab|nehmen nimmt abgenommen - being - lose/lost/lost_weight
    geben gibt gegeben dat+acc person ware give/gave/given
    auf|geben gibt aufgegeben - person - give/gave/given_up
    zurück|geben gibt zurückgegeben acc person ware give/gave/given_back
    rufen ruft gerufen - person - shout
    an|rufen ruft angerufen acc person person call
    stehen steht gestanden - being,vehicle,thing - stand/stood/stood
    auf|stehen steht +aufgestanden - being - get/got/got_up
    verstehen versteht verstanden acc person person,text understand/understood/understood
    suchen sucht gesucht acc being being,ware look_for
    besuchen besucht besucht acc person person,room visit
    aus|suchen sucht ausgesucht acc person ware choose/chose/chosen
    untersuchen untersucht untersucht acc person being,device,vehicle examine
    kaufen kauft gekauft acc person ware buy/bought/bought
    verkaufen verkauft verkauft acc person ware sell/sold/sold
    ein|kaufen kauft eingekauft - person - go/went/gone_shopping
    ziehen zieht gezogen acc being vehicle,thing pull
    an|ziehen zieht angezogen acc person cloth put/put/put_on
    aus|ziehen zieht ausgezogen acc person cloth take/took/taken_off
    um|ziehen zieht +umgezogen - person - move
    tragen trägt getragen acc person cloth wear/wore/worn
    tragen trägt getragen acc person solid carry
    laufen läuft +gelaufen dir being - run/ran/run
    laufen läuft gelaufen - device - work
    weg|laufen läuft +weggelaufen - being - run/ran/run_away
    gehen geht +gegangen dir person - go/went/gone
    springen springt +gesprungen dir being - jump
    fahren fährt +gefahren dir person - drive/drove/driven
    fahren fährt gefahren acc person vehicle drive/drove/driven
    schlafen schläft geschlafen - being - sleep/slept/slept
    ein|schlafen schläft +eingeschlafen - being - fall/fell/fallen_asleep
    lesen liest gelesen acc person text read/read/read
    vor|lesen liest vorgelesen dat+acc person text read/read/read_out
    schreiben schreibt geschrieben dat+acc person text write/wrote/written
    essen isst gegessen acc being food eat/ate/eaten
    kochen kocht gekocht acc person food cook
    reparieren repariert repariert acc person device,vehicle repair
    waschen wäscht gewaschen acc person cloth,animal,vehicle wash
    bringen bringt gebracht dat+acc person ware bring/brought/brought
    mit|bringen bringt mitgebracht acc person being,ware bring/brought/brought_along
    zeigen zeigt gezeigt dat+acc person ware,room show/showed/shown
    schenken schenkt geschenkt dat+acc person ware give/gave/given
    helfen hilft geholfen dat being being help
    danken dankt gedankt dat person person thank
    folgen folgt +gefolgt dat being being,vehicle follow
    fangen fängt gefangen acc animal animal catch/caught/caught
    an|fangen fängt angefangen - person,event - begin/began/begun
    warten wartet gewartet auf+acc being person,vehicle wait_for
    denken denkt gedacht an+acc person being,event think/thought/thought_of
    träumen träumt geträumt von+dat being being,food dream_of
    sprechen spricht gesprochen mit+dat person person talk_to
    lachen lacht gelacht über+acc person person,text laugh_at
    fragen fragt gefragt nach+dat person person,thing ask_for
    finden findet gefunden acc being being,ware find/found/found
    arbeiten arbeitet gearbeitet - person - work
    verlieren verliert verloren acc person ware lose/lost/lost
    fallen fällt +gefallen - being,thing - fall/fell/fallen
    dauern dauert gedauert - event - go/went/gone_on
"""

# German  comparative  English  comparative (- = more ...)  kinds
ADJECTIVES = """
    groß größer tall taller person
    groß größer big bigger animal,ware,place
    klein kleiner small smaller being,ware,place
    alt älter old older being,ware,place
    jung jünger young younger being
    neu neuer new newer solid,cloth,place
    schön schöner beautiful - being,cloth,thing,place,event
    leicht leichter light lighter cloth,thing,vehicle
    leicht leichter easy easier event
    schwer schwerer heavy heavier cloth,thing,animal,vehicle
    schwer schwerer hard harder event
    scharf schärfer spicy spicier food
    scharf schärfer sharp sharper thing
    süß süßer sweet sweeter food
    süß süßer cute cuter animal
    faul fauler lazy lazier person,animal
    faul fauler rotten - food
    sauer saurer sour - food
    sauer saurer angry angrier person
    lang länger long longer text,event,ground
    kurz kürzer short shorter text,event
    teuer teurer expensive - ware
    billig billiger cheap cheaper ware
    frisch frischer fresh fresher food
    kalt kälter cold colder food,place
    warm wärmer warm warmer food,cloth
    klug klüger clever cleverer being
    müde müder tired - being
    arm ärmer poor poorer person
    reich reicher rich richer person
    stark stärker strong stronger being
    stark stärker violent - event
    schmutzig schmutziger dirty dirtier cloth,vehicle,thing,device
    wichtig wichtiger important - text,event
    berühmt berühmter famous - person,place
    hell heller bright brighter device,room
    still stiller quiet quieter being,place
"""

# weight  German stem  declined like  English singular (- = plural only)  English plural (- = singular only)
ARTICLES = """
    6 d der the the
    3 ein ein a _
    1 dies der this these
    1 jed der every -
    1 kein ein no no
    1 mein ein my my
    1 dein ein your your
    1 unser ein our our
    1 zwei number - two
    1 drei number - three
"""

# German  English  when: p = past, n = present, f = future
TIMES = """
    heute today pnf
    gestern yesterday p
    morgen tomorrow f
    jetzt now n
    am_abend in_the_evening pnf
    am_morgen in_the_morning pnf
    am_montag on_monday pf
    in_der_nacht at_night pnf
    jeden_tag every_day pn
    letzte_woche last_week p
    nächste_woche next_week f
    vor_zwei_jahren two_years_ago p
    nach_drei_stunden after_three_hours p
    bald soon f
"""

FREQUENCIES = "oft often|immer always|nie never|selten rarely|schon already|vielleicht perhaps|sicher certainly"
MANNERS = (
    "schnell quickly|langsam slowly|leise quietly|vorsichtig carefully|allein alone|wieder again|plötzlich suddenly"
)

# German  case  English  kinds
ADJUNCTS = """
    in dat in room
    auf dat on ground
    hinter dat behind room
    neben dat next_to room,person
    vor dat in_front_of room,vehicle
    vor dat before event
    nach dat after event
    mit dat with being
    ohne acc without person
    für acc for person
"""
DIRECTIONS = """
    in acc into room
    auf acc onto ground
    zu dat to person,room
    aus dat out_of room
    von dat from person,ground
"""

CONJUNCTIONS = "weil because|obwohl although|wenn when|während while|bevor before|nachdem after|falls if"
COORDINATORS = "und and|aber but|denn because"

# German  3rd person  participle  joining word  its English  English verb
REPORTS = """
    sagen sagt gesagt dass that say/said/said
    glauben glaubt geglaubt dass that believe
    hoffen hofft gehofft dass that hope
    wissen weiß gewusst dass that know/knew/known
    wissen weiß gewusst ob whether know/knew/known
    fragen fragt gefragt ob whether ask
    vergessen vergisst vergessen dass that forget/forgot/forgotten
"""

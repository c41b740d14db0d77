"""The nouns of the generated corpus by kind: a plain table, read by `lexicon.py`.

A German noun may stand on several rows with different English ones: the kind that its place in a
sentence asks for then decides.
"""

# kind: rows of  German  gender  plural  English [plural]; m* is a weak masculine, n/she is neuter but a she
NOUNS = {
    "person": """
        mann m männer man men
        frau f frauen woman women
        kind n kinder child children
        mädchen n/she mädchen girl
        junge m* jungen boy
        lehrer m lehrer teacher
        ärztin f ärztinnen doctor
        student m* studenten student
        nachbarin f nachbarinnen neighbour
        kollege m* kollegen colleague
        schwester f schwestern sister
        bruder m brüder brother
        mutter f mütter mother
        vater m väter father
        tante f tanten aunt
        onkel m onkel uncle
        köchin f köchinnen cook
        maler m maler painter
        gast m gäste guest
        leiter m leiter manager
        anhänger m anhänger supporter""",
    "animal": """
        hund m hunde dog
        katze f katzen cat
        pferd n pferde horse
        vogel m vögel bird
        maus f mäuse mouse mice
        kuh f kühe cow
        schaf n schafe sheep sheep
        bär m* bären bear
        fuchs m füchse fox
        ente f enten duck
        hahn m hähne rooster
        strauß m strauße ostrich""",
    "food": """
        apfel m äpfel apple
        birne f birnen pear
        linse f linsen lentil
        suppe f suppen soup
        fisch m fische fish fish
        kuchen m kuchen cake
        brot n brote loaf loaves
        ei n eier egg
        gericht n gerichte dish
        scheibe f scheiben slice
        kartoffel f kartoffeln potato""",
    "cloth": """
        mantel m mäntel coat
        jacke f jacken jacket
        hemd n hemden shirt
        hut m hüte hat
        schuh m schuhe shoe
        kleid n kleider dress
        absatz m absätze heel""",
    "vehicle": """
        wagen m wagen car
        fahrrad n fahrräder bicycle
        boot n boote boat
        anhänger m anhänger trailer
        zug m züge train""",
    "device": """
        birne f birnen bulb
        linse f linsen lens
        hahn m hähne tap
        schloss n schlösser lock
        scheibe f scheiben pane
        feder f federn spring
        mutter f muttern nut
        uhr f uhren clock
        gerät n geräte machine
        lampe f lampen lamp
        ofen m öfen oven""",
    "text": """
        buch n bücher book
        brief m briefe letter
        zeitung f zeitungen newspaper
        absatz m absätze paragraph
        geschichte f geschichten story
        bericht m berichte report""",
    "thing": """
        ball m bälle ball
        koffer m koffer suitcase
        leiter f leitern ladder
        messer n messer knife knives
        schlüssel m schlüssel key
        stein m steine stone
        bank f bänke bench
        strauß m sträuße bouquet
        feder f federn feather
        teller m teller plate
        stuhl m stühle chair
        bild n bilder picture""",
    "room": """
        haus n häuser house
        garten m gärten garden
        küche f küchen kitchen
        schule f schulen school
        wald m wälder forest
        kirche f kirchen church
        schloss n schlösser castle
        bank f banken bank
        gericht n gerichte court
        laden m läden shop
        stadt f städte city""",
    "ground": """
        markt m märkte market
        brücke f brücken bridge
        berg m berge mountain
        insel f inseln island
        dach n dächer roof
        straße f straßen street""",
    "event": """
        prüfung f prüfungen exam
        reise f reisen journey
        spiel n spiele game
        fest n feste party
        unterricht m unterrichte lesson
        arbeit f arbeiten task
        sturm m stürme storm""",
}

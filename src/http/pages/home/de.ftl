home-title = Start
home-hello = Guten Tag, { $name }
home-nav = Ihr Konto
home-nav-home = Überblick
home-nav-use = Nutzung
home-nav-examples = Beispiele
home-nav-security = Sicherheit und Einstellungen
home-begin = Drei Schritte für den Anfang
home-begin-look = <a href="{ $href }">Sehen Sie sich die Daten an</a>, im Browser: dafür braucht es keinen Schlüssel.
home-begin-key = <a href="{ $href }">Machen Sie einen Schlüssel</a> für Ihr Programm.
home-begin-line = <a href="{ $href }">Kopieren Sie eine fertige Zeile</a> für curl, Python, R, JavaScript oder Excel.
home-today = Heute noch übrig
home-today-more = Ihre ganze Nutzung
home-today-left = <strong>{ $left }</strong> von { $quota } Anfragen
home-today-used = { $used } von { $quota } Anfragen sind verbraucht
home-today-empty = Die Anfragen von heute sind verbraucht. Neue gibt es ab { $when }; bis dahin bekommen Programme die Antwort 429. Wenn Sie mehr brauchen, bitten Sie um einen anderen Plan.
home-used = Verbraucht
home-refused = Abgelehnt
home-full-again = Wieder voll
home-rate = Höchstens
home-rate-text = { $rate } Anfragen pro Sekunde, bis zu { $burst } auf einmal
home-plan = Plan
home-datasets = Daten, die Sie lesen können
home-explore = Ansehen
home-about = Was es ist
home-datasets-empty = Hier ist noch nichts veröffentlicht. Kommen Sie später wieder; Ihr Konto und Ihre Schlüssel bleiben, wie sie sind.
home-datasets-plan = Ihr Plan nennt Daten, die gerade nicht veröffentlicht sind.
home-keys = Ihre Schlüssel
home-keys-new = Neuer Schlüssel
home-keys-empty = Sie haben keinen Schlüssel, der gilt. Programme brauchen einen; im Browser lesen Sie Daten ohne.
home-keys-ended = { $count ->
    [one] { $count } Schlüssel, der nicht mehr gilt
   *[other] { $count } Schlüssel, die nicht mehr gelten
}

home-use-title = Ihre Nutzung
home-use-full = Wieder voll am { $when }.
home-use-rate = Höchstens { $rate } Anfragen pro Sekunde, bis zu { $burst } auf einmal.
home-use-empty = Sie haben in den letzten { $days } Tagen nichts abgefragt.
home-use-empty-next = Beispiele für den Anfang
home-use-csv = Als CSV herunterladen

home-codes-title = Ihre Wiederherstellungscodes
home-codes-on = Der zweite Faktor ist an.
home-codes-lead = Wenn Sie Ihr Telefon verlieren, gilt jeder davon einmal statt eines Codes. Sie werden hier zehn Minuten lang gezeigt, oder bis Sie sagen, dass Sie sie aufbewahrt haben: drucken Sie sie, oder kopieren Sie sie dorthin, wo nur Sie sie lesen können.
home-codes-print = Drucken
home-codes-kept = Ich habe sie aufbewahrt
home-codes-kept-done = Ihre Wiederherstellungscodes werden nicht mehr gezeigt.

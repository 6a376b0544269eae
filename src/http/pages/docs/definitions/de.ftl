definitions-title = Definitionen von Datenbeständen
definitions-lead = Was in der Definition eines Datenbestands stehen kann: wie seine Spalten heißen, woher ihre Werte kommen, was veröffentlicht wird und was er über sich selbst sagt.

reference-title = Referenz
reference-lead = Alle Anfragen, die ein Schlüssel oder eine Sitzung stellen darf. Jede hat eine Seite mit allem, was sie annimmt und beantwortet, und einer Zeile zum Kopieren.
reference-admin-title = Referenz der Verwaltung
reference-admin-lead = Was Administratoren aufrufen, mit einem Administrator-Token oder der Sitzung einer Person mit dieser Rolle.
reference-english = Die Beschreibungen sind auf Englisch.
reference-for-programs = Programme lesen dasselbe unter <a href="{ $href }">{ $href }</a> (OpenAPI 3.1).

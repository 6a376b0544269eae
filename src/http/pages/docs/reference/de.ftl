reference-title = Referenz
reference-lead = Alle Anfragen, die ein Schlüssel oder eine Sitzung stellen darf, mit allen Spalten und Operatoren. Sie lassen sich hier mit dem eigenen Schlüssel ausprobieren. Der Text ist englisch.
reference-admin-title = Referenz der Verwaltung
reference-admin-lead = Was Administratoren aufrufen, mit einem Administrator-Token oder der Sitzung einer Person mit dieser Rolle. Der Text ist englisch.
reference-for-programs = Programme lesen dasselbe unter <a href="{ $href }">{ $href }</a> (OpenAPI 3.1).
reference-noscript = Diese Seite braucht JavaScript. Was sie zeigt, steht unter <a href="{ $href }">{ $href }</a>.
reference-failed = Die Beschreibung der Schnittstelle kann nicht gelesen werden. Laden Sie die Seite gleich noch einmal.
docs-nav = Dokumentation
docs-nav-guide = Anleitung
docs-nav-reference = Referenz
docs-nav-admin = Verwaltung

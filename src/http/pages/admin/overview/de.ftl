# Der Überblick, und was mehrere Seiten der Verwaltung sagen.
admin-title = Überblick
admin-role-reader = Lesen
admin-role-manager = Datenpflege
admin-role-admin = Verwaltung
admin-may-people = Personen
admin-may-data = Datenbestände
admin-may-plans = Pläne
admin-may-events = Ereignisse
admin-may-server = Server
admin-status-invited = eingeladen
admin-status-active = aktiv
admin-status-disabled = gesperrt
admin-status-deleted = gelöscht
admin-invitation-invited = noch nicht verschickt
admin-invitation-mailed = verschickt
admin-invitation-opened = Link benutzt
admin-invitation-used = in Gebrauch
admin-invitation-expired = abgelaufen
admin-invitation-bounced = kam zurück
admin-invitation-failed = abgelehnt
admin-not-done = Es wurde nicht getan: { $reason }
admin-reason-limit = In der letzten Stunde wurden so viele E-Mails verschickt, wie es sein dürfen. Versuchen Sie es { $minutes ->
    [one] in einer Minute wieder.
   *[other] in { $minutes } Minuten wieder.
}
admin-reason-beyond = Ihre Rechte reichen dafür nicht aus.
admin-reason-changed = Jemand hat es im selben Augenblick geändert. Sehen Sie es noch einmal an und wiederholen Sie es dann.
admin-reason-unavailable = Der Server ist beschäftigt, oder ein Teil von ihm antwortet nicht. Versuchen Sie es gleich noch einmal.
admin-good = Alles ist in Ordnung
admin-good-text = Nichts wartet auf Sie.
admin-waits = Das wartet auf Sie
admin-people-none = Es wurde noch niemand eingeladen.
admin-invite-first = Die erste Person einladen
admin-people = { $count ->
    [one] { $count } Person
   *[other] { $count } Personen
}
admin-failed = { $count ->
    [one] { $count } Einladung wurde vom Mailsystem abgelehnt
   *[other] { $count } Einladungen wurden vom Mailsystem abgelehnt
}
admin-bounced = { $count ->
    [one] { $count } Einladung kam zurück
   *[other] { $count } Einladungen kamen zurück
}
admin-unsent = { $count ->
    [one] { $count } Einladung ist noch nicht verschickt
   *[other] { $count } Einladungen sind noch nicht verschickt
}
admin-held = { $count ->
    [one] { $count } Import wartet auf Freigabe oder darauf, verworfen zu werden
   *[other] { $count } Importe warten auf Freigabe oder darauf, verworfen zu werden
}
admin-dead = { $count ->
    [one] { $count } Aufgabe wurde aufgegeben, weil sie zu oft gescheitert ist
   *[other] { $count } Aufgaben wurden aufgegeben, weil sie zu oft gescheitert sind
}
admin-quarantined = { $count ->
    [one] { $count } Verlauf kann nicht gelesen werden und wurde beiseitegelegt
   *[other] { $count } Verläufe können nicht gelesen werden und wurden beiseitegelegt
}
admin-unhealthy = Der Server hat eine Störung: Sehen Sie seinen Zustand an
admin-last-import = Letzter Import
admin-no-import = Es wurde noch nichts importiert.
admin-import-to = Eine Datei importieren
admin-import-status = { $status ->
    [running] läuft
    [held] wartet auf Freigabe
    [completed] ist abgeschlossen
    [failed] ist gescheitert
    [cancelled] wurde abgebrochen
    [discarded] wurde verworfen
   *[removed] war abgeschlossen; die Datensätze wurden seither entfernt
}
admin-server = Server
admin-server-good = Er ist bereit, und alles, was er braucht, antwortet.
admin-server-bad = Etwas, das er braucht, antwortet nicht.
admin-data-sets = Datenbestände
admin-withdrawn = zurückgezogen
admin-permissions = Sie dürfen ansehen: { $may }.

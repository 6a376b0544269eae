undone-title = Fehlgeschlagenes
undone-what = Der Server hat dies mehrmals versucht und aufgegeben. Beheben Sie zuerst die Ursache, und lassen Sie es dann noch einmal versuchen: Jedes wird einmal erledigt, auch wenn Sie zweimal darum bitten.
undone-kind-invitation = { $count ->
    [one] Eine Einladung konnte nicht gesendet werden
   *[other] { $count } Einladungen konnten nicht gesendet werden
}
undone-kind-password = { $count ->
    [one] Eine E-Mail mit einem Link zum Setzen des Passworts konnte nicht gesendet werden
   *[other] { $count } E-Mails mit Links zum Setzen des Passworts konnten nicht gesendet werden
}
undone-kind-deletion = { $count ->
    [one] Die Löschung einer Person konnte nicht abgeschlossen werden
   *[other] Die Löschungen von { $count } Personen konnten nicht abgeschlossen werden
}
undone-kind-leak = { $count ->
    [one] Eine E-Mail über einen bekannt gewordenen Schlüssel konnte nicht gesendet werden
   *[other] { $count } E-Mails über bekannt gewordene Schlüssel konnten nicht gesendet werden
}
undone-kind-notice = { $count ->
    [one] Ein Hinweis konnte nicht gesendet werden
   *[other] { $count } Hinweise konnten nicht gesendet werden
}
undone-kind-other = { $count ->
    [one] Eine Aufgabe konnte nicht erledigt werden
   *[other] { $count } Aufgaben konnten nicht erledigt werden
}
undone-reason = Warum: { $reason }
undone-choose = Was noch einmal versucht wird
undone-letter = aufgegeben am { $at }, nach { $tries ->
    [one] einem Versuch
   *[other] { $tries } Versuchen
}
undone-again = Angekreuzte noch einmal versuchen
undone-details = Die Nachrichten, wie der Server sie aufbewahrt
undone-first = Das sind die ersten { $count }.
undone-all = Alle noch einmal versuchen
undone-all-question = Alles Aufgegebene wird noch einmal versucht, auch was nicht auf dieser Seite steht. Was wieder scheitert, kommt hierher zurück.
undone-all-confirm = Ja, alle noch einmal versuchen
undone-none = Nichts ist fehlgeschlagen. Was der Server nach mehreren Versuchen aufgibt, steht hier.
undone-sent = { $count ->
    [one] Eines wird jetzt noch einmal versucht. Wenn es wieder scheitert, kommt es hierher zurück.
   *[other] { $count } werden jetzt noch einmal versucht. Was wieder scheitert, kommt hierher zurück.
}
undone-gone = { $count ->
    [one] Es wurde schon noch einmal versucht.
   *[other] Sie wurden schon noch einmal versucht.
}
undone-none-chosen = Nichts war angekreuzt. Kreuzen Sie an, was noch einmal versucht werden soll.

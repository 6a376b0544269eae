//! The kinds of problems in German: their titles, meanings and remedies. The API has them in English.

use crate::http::ProblemCode;

/// The title and the explanation of a kind.
pub(super) fn told(code: ProblemCode) -> (&'static str, &'static str) {
    use ProblemCode as P;
    match code {
        P::InvalidRequest => (
            "Die Anfrage ist nicht lesbar",
            "Die Anfrage ist nicht wohlgeformt. Die Einzelheit sagt, wo. Berichtigen Sie sie, bevor Sie sie noch einmal senden.",
        ),
        P::InvalidParameters => (
            "Ein Parameter ist falsch",
            "Ein Parameter ist unbekannt, steht doppelt da oder hat einen Wert der falschen Art. invalid_params nennt jeden mit dem Grund und, \
             wo es einen gibt, dem nächstliegenden richtigen Namen. Nichts wird übergangen: ein vertippter Filter gäbe sonst die ganze Tabelle.",
        ),
        P::InvalidBody => (
            "Der Inhalt der Anfrage ist falsch",
            "Der Inhalt ist kein JSON, oder ein Feld fehlt, ist unbekannt oder von der falschen Art. Die Einzelheit nennt die Stelle.",
        ),
        P::SignInAgain => (
            "Beginnen Sie die Anmeldung noch einmal",
            "Eine Anmeldung beim Anbieter schließt der Browser ab, der sie begonnen hat, innerhalb von zehn Minuten und nur einmal. \
             GET /sign-in/provider beginnt eine neue. Cookies müssen erlaubt sein.",
        ),
        P::InvalidKey => (
            "Ein gültiger API-Schlüssel fehlt",
            "Senden Sie den Schlüssel aus Ihrer Einladung im Kopf x-api-key, als Authorization: Bearer oder als Benutzername von Authorization: \
             Basic; nie in einer Adresse. Ein fehlender, vertippter, unbekannter oder beendeter Schlüssel bekommt dieselbe Antwort.",
        ),
        P::InvalidToken => (
            "Das Token der Verwaltung fehlt",
            "Senden Sie das Token im Kopf Authorization: Bearer. Ein fehlendes und ein falsches bekommen dieselbe Antwort.",
        ),
        P::KeyNotAllowedHere => (
            "Der Schlüssel gilt nicht von dieser Adresse aus",
            "Der Schlüssel gilt, aber nur aus bestimmten Netzen, und die Anfrage kam aus einem anderen. Aus welchen, wird nicht gesagt. \
             Es wurde nichts gezählt. Senden Sie die Anfrage von dort, wofür der Schlüssel gedacht ist, oder bitten Sie darum, ihn hier zuzulassen.",
        ),
        P::Scope => (
            "Der Schlüssel darf das nicht",
            "Der Schlüssel gilt, aber er oder Ihr Plan erlaubt das nicht. needed sagt, was fehlt: read oder export, dass der Schlüssel für diese \
             Daten ist, oder dass Ihr Plan sie enthält. Es wurde nichts gezählt. Nehmen Sie einen Schlüssel, der es darf, oder bitten Sie darum.",
        ),
        P::SignInRequired => (
            "Melden Sie sich zuerst an",
            "Senden Sie das Token einer Sitzung im Kopf Authorization: Bearer, oder ihr Cookie. POST /sessions beginnt eine. Eine fehlende, \
             unbekannte oder beendete Sitzung bekommt dieselbe Antwort.",
        ),
        P::InvalidCredentials => (
            "Adresse, Passwort oder Code ist falsch",
            "Ob es ein solches Konto gibt, wird nicht gesagt. Wer kein Passwort hat oder es vergessen hat, bekommt einen Link per E-Mail: \
             POST /password-resets.",
        ),
        P::CodeRequired => (
            "Ein Code des zweiten Faktors fehlt",
            "Das Passwort stimmt. Senden Sie dazu als `code` den Code, den die Authenticator-App zeigt, oder einen Wiederherstellungscode.",
        ),
        P::CrossOrigin => (
            "Die Anfrage kommt von einer anderen Seite",
            "Ein Cookie zählt in einer schreibenden Anfrage nur, wenn sie von einer Seite dieses Servers kommt. Programme senden stattdessen das \
             Token der Sitzung im Kopf Authorization: Bearer.",
        ),
        P::FormOver => (
            "Das Formular gilt nicht mehr",
            "Ein Formular gilt für den Browser und die Anmeldung, denen es gezeigt wurde. Laden Sie die Seite neu und senden Sie es von dort. Der \
             Browser muss Cookies dieses Servers annehmen.",
        ),
        P::NotAdmitted => (
            "Mit der Antwort des Anbieters kommt hier niemand hinein",
            "Der Anbieter muss die Adresse bestätigt haben, und sie muss hier eingeladen sein und hinein dürfen. Was davon fehlt, wird nicht gesagt. \
             Wer diesen Server betreibt, findet den Grund in seinem Protokoll.",
        ),
        P::SecondFactorRequired => (
            "Richten Sie zuerst einen zweiten Faktor ein",
            "Wer verwaltet, braucht hier einen zweiten Faktor. POST /me/second-factor beginnt einen, PUT /me/second-factor bestätigt ihn; bis dahin \
             gilt die Sitzung für nichts anderes.",
        ),
        P::ReadOnlyCopy => (
            "Dies ist eine Kopie, die nur gelesen werden kann",
            "Dieser Server zeigt die Kopie einer Installation, wie sie zu einem früheren Zeitpunkt war. Was nur liest, wird so beantwortet wie \
             damals; ändern lässt sich hier nichts, und nichts wird verschickt. Die Einzelheit sagt, wovon die Kopie ist und von wann. Senden \
             Sie die Anfrage an die Installation selbst.",
        ),
        P::MissingPermission => (
            "Dafür ist eine andere Berechtigung nötig",
            "Das Token oder die angemeldete Person ist bekannt, darf das aber nicht. Die Einzelheit sagt, welche Berechtigung nötig ist und welche \
             es gibt. Wer verwaltet, gibt eine andere Rolle oder macht ein Token, das es darf.",
        ),
        P::NotFound => (
            "Das gibt es nicht",
            "Der Pfad stimmt, aber unter diesem Namen gibt es nichts. Die Einzelheit sagt, wonach gesucht wurde.",
        ),
        P::UnknownPath => (
            "Unter diesem Pfad gibt es nichts",
            "Dieser Server hat nichts unter diesem Pfad. Prüfen Sie die Schreibweise.",
        ),
        P::MethodNotAllowed => ("Diese Methode gibt es hier nicht", "Der Kopf Allow nennt die Methoden, die es gibt."),
        P::RequestTimeout => (
            "Die Anfrage kam zu langsam an",
            "Kopf oder Inhalt kamen nicht rechtzeitig an. Senden Sie sie über eine schnellere Verbindung noch einmal.",
        ),
        P::Conflict => (
            "Das passt nicht zum jetzigen Stand",
            "Was verlangt wurde, widerspricht dem, was es gibt, etwa eine zweite Person mit derselben Adresse. Die Einzelheit sagt, wem.",
        ),
        P::VersionGone => (
            "Diese Version wird nicht mehr gehalten",
            "Ein Cursor, as_of oder eine Frage nach Änderungen nennt eine Version der Daten, die nicht mehr da ist oder andere Spalten hatte. Die \
             Einzelheit sagt, ab welcher Version sie da sind. Beginnen Sie neu: ohne den Cursor, mit einer späteren Version, oder mit einer ganzen \
             Kopie der jetzigen.",
        ),
        P::LinkOver => (
            "Dieser Link gilt nicht mehr",
            "Er wurde benutzt, ist abgelaufen, oder ein neuerer wurde gesendet. POST /password-resets sendet einen neuen, um ein Passwort zu setzen; \
             wer Sie eingeladen hat, kann die Einladung noch einmal senden.",
        ),
        P::DataSetWithdrawn => (
            "Diese Daten werden zurzeit nicht ausgegeben",
            "Sie wurden zurückgezogen. Ihre Datensätze sind noch da und können wieder ausgegeben werden. Fragen Sie, wann, wer den Server betreibt.",
        ),
        P::PreconditionFailed => (
            "Es hat sich inzwischen geändert",
            "If-Match nannte eine Version, die nicht mehr die jetzige ist. Lesen Sie neu, entscheiden Sie neu, und senden Sie die neue Version.",
        ),
        P::BodyTooLarge => {
            ("Der Inhalt der Anfrage ist zu groß", "Die Einzelheit sagt, wie groß er höchstens sein darf.")
        }
        P::UrlTooLong => (
            "Die Adresse ist zu lang",
            "Pfad und Abfrage sind zusammen länger, als dieser Server liest. Fragen Sie in mehreren Anfragen.",
        ),
        P::UnsupportedMediaType => {
            ("Der Inhalt ist von der falschen Art", "Senden Sie JSON mit dem Kopf content-type: application/json.")
        }
        P::IdempotencyKeyReused => (
            "Der Idempotency-Key gehört zu einer anderen Anfrage",
            "Ein Idempotency-Key benennt eine Anfrage und ihren Inhalt. Dieser wurde mit anderem Inhalt benutzt. Nehmen Sie für eine neue Anfrage \
             einen neuen.",
        ),
        P::QuotaExceeded => (
            "Das Kontingent des Plans ist aufgebraucht",
            "violated-policies nennt die Grenze: burst füllt sich in Sekunden, daily mit dem nächsten Tag (UTC). Warten Sie so viele Sekunden, wie \
             Retry-After sagt. Der Kopf RateLimit jeder Antwort sagt, was übrig ist, damit ein Programm nicht hineinläuft.",
        ),
        P::OwnShare => (
            "Ihr Anteil am Server ist belegt",
            "Fragen, die lange dauern, und Exporte werden zwischen Personen geteilt. So viele von Ihnen werden beantwortet oder warten schon, wie \
             einer Person zustehen. Warten Sie auf eine davon, und senden Sie die Anfrage dann noch einmal, nicht vor Retry-After Sekunden. Sie zählt \
             nicht.",
        ),
        P::InvitationLimit => (
            "In dieser Stunde wurden genug Einladungen gesendet",
            "Eine Person bekommt höchstens einige Einladungen je Stunde, alle zusammen eine Zahl, die der Betreiber festlegt. Es ist nichts geschehen. \
             Warten Sie Retry-After Sekunden, und senden Sie die Anfrage dann noch einmal.",
        ),
        P::TooManyAttempts => (
            "Zu viele Versuche für ein Konto",
            "Für dieses Konto wurden zu viele falsche Passwörter oder Codes angegeben oder zu viele Sitzungen begonnen. Jeder weitere falsche verlängert \
             die Wartezeit. Warten Sie Retry-After Sekunden. Sitzungen und Schlüssel, die es gibt, gelten weiter.",
        ),
        P::TooManyFromAddress => (
            "Zu viel von einer Adresse",
            "Diese Adresse hat zu viele falsche Schlüssel oder Token gesendet, oder sie hat so viele Verbindungen oder Anfragen gleichzeitig, wie eine \
             haben darf. Die Einzelheit sagt, was. Ein richtiger Schlüssel geht trotzdem; warten Sie mit anderen Retry-After Sekunden: mit jedem \
             weiteren falschen verdoppelt sich die Wartezeit.",
        ),
        P::HeadTooLarge => (
            "Der Kopf der Anfrage ist zu groß",
            "Die Kopffelder sind mehr oder länger, als dieser Server liest. Senden Sie weniger oder kürzere.",
        ),
        P::Internal => (
            "Hier ist etwas schiefgegangen",
            "Es liegt nicht an der Anfrage. Vielleicht geht es noch einmal; wenn nicht, nennen Sie dem Betreiber die Nummer der Anfrage.",
        ),
        P::Overloaded => (
            "Zu viel zu tun",
            "Auf den Server wartet mehr Arbeit, als er rechtzeitig schafft, oder er hat eine Frage abgebrochen, die zu lange dauerte. Warten Sie \
             Retry-After Sekunden, und senden Sie die Anfrage dann noch einmal.",
        ),
        P::Unavailable => (
            "Zurzeit nicht verfügbar",
            "Etwas, das der Server braucht, um über die Anfrage zu entscheiden, ist nicht erreichbar, und er lehnt lieber ab, als zu raten. Warten Sie \
             Retry-After Sekunden, und senden Sie die Anfrage dann noch einmal. Sie zählt nicht.",
        ),
        P::Moved => (
            "Dieser Server ist umgezogen",
            "Was dieser Server hatte, läuft anderswo weiter, mit denselben Schlüsseln, denselben Adressen der Datensätze und denselben Grenzen. Die \
             Einzelheit nennt die neue Adresse, wenn die Betreiber eine angegeben haben. Es wurde nichts getan und nichts gezählt. Senden Sie die \
             Anfrage dorthin; dieser Server antwortet nicht mehr.",
        ),
        P::InsufficientStorage => (
            "Für die Datei ist kein Platz",
            "Die Platte des Servers hat keinen Platz für das Gesendete. Der Betreiber muss welchen schaffen; es wurde nichts geändert.",
        ),
    }
}

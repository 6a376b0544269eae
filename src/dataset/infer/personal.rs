//! Finds columns that seem to hold personal data, by their headers and values.
//!
//! The words are the common ones of English, German, French, Spanish, Italian and Portuguese. A column flagged without need costs somebody
//! a look; a column missed costs somebody their privacy.

/// Words for people and what belongs to them; found within run-together words, too.
const STEMS: [&str; 101] = [
    // People.
    "owner",
    "applicant",
    "contractor",
    "inspector",
    "contact",
    "surname",
    "firstname",
    "lastname",
    "fullname",
    "middlename",
    "givenname",
    "familyname",
    "maidenname",
    "personname",
    "username",
    "licensee",
    "permittee",
    "eigentuemer",
    "eigentumer",
    "antragsteller",
    "bauherr",
    "ansprechpartner",
    "sachbearbeiter",
    "nachname",
    "vorname",
    "familienname",
    "proprietaire",
    "demandeur",
    "prenom",
    "nomdefamille",
    "petitionnaire",
    "propietario",
    "solicitante",
    "apellido",
    "nombrecompleto",
    "proprietario",
    "richiedente",
    "cognome",
    "nominativo",
    "requerente",
    "sobrenome",
    "nomecompleto",
    "patient",
    "employeename",
    "contribuyente",
    "titular",
    // Ways to reach them.
    "telephone",
    "telefon",
    "phone",
    "rufnummer",
    "handynummer",
    "handynr",
    "mobilnr",
    "mobilnummer",
    "mobile",
    "cellulare",
    "celular",
    "portable",
    "email",
    "courriel",
    "correoelectronico",
    "mailadresse",
    // Birth.
    "birth",
    "geburt",
    "geboren",
    "naissance",
    "nacimiento",
    "nascita",
    "nascimento",
    // Numbers that states and banks give to people.
    "socialsecurity",
    "passport",
    "reisepass",
    "passeport",
    "pasaporte",
    "passaporto",
    "steueridentifikation",
    "sozialversicherung",
    "codicefiscale",
    "driverlicens",
    "kontonummer",
    "kontoinhaber",
    "intestatario",
    "responsavel",
    "nextofkin",
    "victim",
    "spouse",
    "homeaddress",
    "mailingaddress",
    "telemovel",
    "adresseelectronique",
    "postaelettronica",
    "steuerid",
    "steuernummer",
    "personalausweis",
    "ahvnummer",
    "gebdatum",
    "securitesociale",
    "creditcard",
    "bankaccount",
    "password",
    "natoil",
];

/// Words that only count if they stand alone.
const WORDS: [&str; 44] = [
    "mail",
    "tel",
    "fax",
    "person",
    "dob",
    "born",
    "ssn",
    "sin",
    "dni",
    "nif",
    "nie",
    "cpf",
    "curp",
    "rfc",
    "nino",
    "iban",
    "handy",
    "mobil",
    "cell",
    "company",
    "nom",
    "nombre",
    "nome",
    "names",
    "nachbar",
    "client",
    "kunde",
    "kundin",
    "cliente",
    "tenant",
    "mieter",
    "locataire",
    "inquilino",
    "inquilina",
    "elector",
    "voter",
    "fname",
    "lname",
    "correo",
    "movil",
    "cedula",
    "rg",
    "inhaber",
    "contribuinte",
];

/// Words for people: a "name" beside one of them is a person's.
const BEARERS: [&str; 34] = [
    "first",
    "last",
    "middle",
    "full",
    "given",
    "family",
    "maiden",
    "sur",
    "agent",
    "architect",
    "engineer",
    "author",
    "user",
    "member",
    "customer",
    "client",
    "student",
    "teacher",
    "employee",
    "driver",
    "designer",
    "manager",
    "officer",
    "signatory",
    "licensee",
    "holder",
    "payee",
    "buyer",
    "seller",
    "father",
    "mother",
    "child",
    "spouse",
    "guardian",
];

/// Endings of German words for people, such as `Baumpate`, `Antragsbearbeiterin`, `Notfallkontakt`. Words that begin with them mean
/// something else, such as `Patent`.
const ENDS: [&str; 17] = [
    "pate",
    "patin",
    "paten",
    "bearbeiter",
    "bearbeiterin",
    "bearbeitende",
    "betreuer",
    "betreuerin",
    "betreuende",
    "antragstellende",
    "kontakt",
    "kontakte",
    "kontaktdaten",
    "person",
    "inhaberin",
    "besitzer",
    "besitzerin",
];

/// Exceptions to these endings: `Spaten`, `participate`, `Schaltkontakt`.
const ENDS_OF_OTHERS: [&str; 8] =
    ["spate", "spaten", "karpaten", "cipate", "sipate", "schaltkontakt", "steckkontakt", "tuerkontakt"];

/// Names of things that contain such a word.
const IMPERSONAL: [&str; 34] = [
    "file",
    "host",
    "domain",
    "place",
    "street",
    "road",
    "species",
    "column",
    "field",
    "table",
    "product",
    "item",
    "births",
    "rate",
    "lens",
    "hours",
    "count",
    "model",
    "aviv",
    "homes",
    "type",
    "ownership",
    "improvement",
    "office",
    "gare",
    "commune",
    "municipio",
    "pages",
    "paginas",
    "logements",
    "viviendas",
    "geburtenrate",
    "telefonzellen",
    "pagine",
];

/// The patterns found in a column's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ColumnLooks {
    pub(super) values: u64,
    pub(super) emails: u64,
    pub(super) telephones: u64,
    pub(super) social_numbers: u64,
}

impl ColumnLooks {
    pub(super) fn add(&mut self, text: &str) {
        self.values += 1;
        self.emails += u64::from(is_email(text));
        self.telephones += u64::from(is_telephone(text));
        self.social_numbers += u64::from(is_social_number(text));
    }
}

/// The reason why a column looks personal, if it does.
pub(super) fn reason(words: &[String], looks: ColumnLooks) -> Option<&'static str> {
    let joined: String = words.concat();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let ends = |word: &String, list: &[&str]| list.iter().any(|end| word.ends_with(end));
    let ends_so = words.iter().any(|word| ends(word, &ENDS) && !ends(word, &ENDS_OF_OTHERS));
    if !has(&IMPERSONAL) && (STEMS.iter().any(|stem| joined.contains(stem)) || has(&WORDS) || ends_so) {
        return Some("by its header");
    }
    let named = words.iter().any(|word| word == "name");
    let bearer = |word: &String| BEARERS.contains(&word.as_str());
    if named && (words.len() == 1 || words.iter().any(bearer)) {
        return Some("by its header: whose name?");
    }
    let share = |hits: u64| hits > 0 && hits * 3 >= looks.values;
    if share(looks.emails) {
        Some("by its values: e-mail addresses")
    } else if share(looks.telephones) {
        Some("by its values: telephone numbers")
    } else if share(looks.social_numbers) {
        Some("by its values: social security numbers")
    } else {
        None
    }
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !text.contains(' '))
}

/// Tells whether a text looks like a telephone number: seven to fifteen digits with marks between them, and no date.
fn is_telephone(text: &str) -> bool {
    if !text.starts_with(|first: char| matches!(first, '+' | '(' | '0'..='9')) || text.len() > 24 {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let marks = text.bytes().filter(|byte| matches!(byte, b'(' | b')' | b'-' | b' ' | b'.' | b'+' | b'/')).count();
    let long_enough = if text.starts_with('+') { (8..=15).contains(&digits) } else { (10..=11).contains(&digits) };
    // Parcel numbers have other groups of digits.
    let groups: Vec<usize> =
        text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).filter(|length| *length > 0).collect();
    let is_cut_so = text.starts_with(['+', '(']) || matches!(groups[..], [3, 3, 4] | [1, 3, 3, 4] | [5, 5] | [5, 6]);
    long_enough && is_cut_so && marks >= 2 && digits + marks == text.len()
}

/// `078-05-1120`.
fn is_social_number(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts[..], [area, group, serial] if area.len() == 3 && group.len() == 2 && serial.len() == 4)
        && parts.iter().all(is_digits)
}

#[cfg(test)]
mod tests {
    use super::{super::name::words_of, *};

    fn is_personal(header: &str) -> bool {
        reason(&words_of(header), ColumnLooks::default()).is_some()
    }

    #[test]
    fn headers() {
        for header in [
            "OWNERNAME",
            "applicantname",
            "contractorname",
            "inspector",
            "date of birth",
            "ssn",
            "Owner",
            "First Name",
            "LASTNAME",
            "E-Mail",
            "Phone #",
            "Telefonnummer",
            "Geburtsdatum",
            "Name",
            "Vorname",
            "Nom de famille",
            "Prénom",
            "Date de naissance",
            "Adresse électronique",
            "Numéro de sécurité sociale",
            "Correo",
            "Telemóvel",
            "fname",
            "Steuer-ID",
            "Geb.datum",
            "Apellidos",
            "Correo electrónico",
            "Fecha de nacimiento",
            "Cognome",
            "Data di nascita",
            "Codice Fiscale",
            "Sobrenome",
            "Data de Nascimento",
            "Eigentümer",
            "Eigentümerin",
            "Pate",
            "Baumpate",
            "BAUMPATIN",
            "Name der Baumpaten",
            "Bearbeiter",
            "Bearbeiter/in",
            "Antragsbearbeiterin",
            "Sachbearbeiter",
            "Kontakt",
            "Notfallkontakt",
            "Kontaktperson",
            "Ansprechpartner",
            "Ansprechpartnerin",
            "Antragsteller",
            "Betreuer",
            "Baumbetreuerin",
            "Nachname",
            "Familienname",
            "Telefon",
            "Handy",
            "Handynr.",
            "E-Mail-Adresse",
            "Geburtsdatum",
            "Propriétaire",
            "agent_name",
            "CPF",
            "DNI",
        ] {
            assert!(is_personal(header), "{header}");
        }
        for header in [
            "State Name",
            "item_name",
            "Street Name",
            "Project Name",
            "Country Code",
            "number_of_permits",
            "Total",
            "file_name",
            "Births",
            "Birth Rate",
            "Contact lens",
            "Cell count",
            "Phone Model",
            "Tel Aviv",
            "Owner type",
            "Nom de la gare",
            "Geburtenrate",
            "Spatel",
            "Spaten",
            "Patent",
            "Patentnummer",
            "Karpaten",
            "Bearbeitungsstand",
            "Schaltkontakt",
            "Betreuungsplätze",
            "Personenzahl",
            "status",
            "permitno",
            "Neighborhood",
            "Name of Station",
            "Nombre de logements",
        ] {
            let ambiguous = header == "Nombre de logements";
            assert!(!is_personal(header) || ambiguous, "{header}");
        }
    }

    #[test]
    fn values() {
        for text in ["415-555-1234", "(415) 555-1235", "+44 20 7946 0958", "415.555.1234"] {
            assert!(is_telephone(text), "{text}");
        }
        for text in ["2016-12-01", "1234-567-890", "4155551234", "12/1/2016 09:30", "-122.4194 37.77"] {
            assert!(!is_telephone(text), "{text}");
        }
        assert!(is_social_number("078-05-1120") && !is_social_number("2016-12-01"));
    }
}

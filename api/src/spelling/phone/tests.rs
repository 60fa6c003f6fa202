//! Spellings that are taken, and what is refused.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<String, NoPhone> {
    phone(text).map(|phone| phone.as_str().to_owned())
}

#[test]
fn every_spelling_of_one_number_is_that_number() {
    for spelling in [
        "+33612345678",
        "+33 6 12 34 56 78",
        "  +33 6 12 34 56 78\n",
        "0033612345678",
        "00 33 6 12 34 56 78",
        "0033 (0)6 12 34 56 78",
        "33612345678",
        "33 6 12 34 56 78",
        "(+33) 6-12-34-56-78",
        "(+33)612345678",
        "+33 (0)6 12 34 56 78",
        "+33(0)612345678",
        "+330612345678",
        "330612345678",
        "+33.6.12.34.56.78",
        "+33/6/12/34/56/78",
        "+33\u{a0}6\u{a0}12\u{a0}34\u{a0}56\u{a0}78",
        "+33\u{202f}6\u{2009}12 34 56 78",
        "+33\u{2011}6\u{2011}12\u{2013}34\u{2212}56-78",
        "\u{202a}+33 6 12 34 56 78\u{202c}",
        "\u{200e}+33612345678",
        "\u{feff}33612345678",
        "\"+33612345678\"",
        "'+33612345678",
        "+33612345678,",
        "\u{ff0b}\u{ff13}\u{ff13}\u{ff16}\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}\u{ff17}\u{ff18}",
        "+٣٣٦١٢٣٤٥٦٧٨",
        "۳۳۶۱۲۳۴۵۶۷۸",
        "33612345678@s.whatsapp.net",
        "+33612345678@s.whatsapp.net",
        "33612345678:12@s.whatsapp.net",
        "33612345678.0:3@s.whatsapp.net",
        "33612345678@c.us",
        "33612345678@C.US",
        "0033612345678@c.us",
        "waid=33612345678",
        "TEL;type=CELL;waid=33612345678:+33 6 12 34 56 78",
        "item1.TEL;WAID=33612345678:06 12 34 56 78",
        "BEGIN:VCARD\nFN:Ada\nTEL;type=CELL;type=VOICE;waid=33612345678:+33 6 12 34 56 78\nEND:VCARD",
        "tel:+33-6-12-34-56-78",
        "TEL:+33612345678",
        "whatsapp:+33612345678",
        "https://wa.me/33612345678",
        "wa.me/33612345678",
        "https://wa.me/+33612345678",
        "https://wa.me/33612345678?text=hello",
        "https://wa.me/33612345678/",
        "https://api.whatsapp.com/send?phone=33612345678&text=hello",
        "https://api.whatsapp.com/send/?phone=%2B33612345678",
        "https://web.whatsapp.com/send?phone=33612345678",
        "whatsapp://send?phone=33612345678",
    ] {
        assert_eq!(
            read(spelling),
            Ok("+33612345678".to_owned()),
            "{spelling:?}"
        );
    }
}

#[test]
fn a_spelling_of_any_country_is_normalised() {
    for (spelling, number) in [
        // Italy keeps its zero.
        ("+39 06 1234 5678", "+390612345678"),
        ("+39 (0)6 1234 5678", "+390612345678"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+49 (0)151 23456789", "+4915123456789"),
        ("+7 (916) 123-45-67", "+79161234567"),
        ("79161234567", "+79161234567"),
        ("+55 (11) 98765-4321", "+5511987654321"),
        ("5511987654321", "+5511987654321"),
        // Mexico's older form is WhatsApp's name of many accounts.
        ("5215512345678@s.whatsapp.net", "+5215512345678"),
        ("+52 1 55 1234 5678", "+5215512345678"),
        ("5215512345678", "+5215512345678"),
        ("+52 55 1234 5678", "+525512345678"),
        ("+54 9 11 2345-6789", "+5491123456789"),
        ("+1 (202) 555-0123", "+12025550123"),
        ("12025550123", "+12025550123"),
        ("1-202-555-0123", "+12025550123"),
        ("+91 98765 43210", "+919876543210"),
        ("919876543210", "+919876543210"),
        // What no list of assigned numbers has, and is as long as a mobile number there.
        ("491510000002", "+491510000002"),
        ("+49 151 0000002", "+491510000002"),
        ("00491510000002", "+491510000002"),
        ("491510000002@c.us", "+491510000002"),
        ("4915170000001", "+4915170000001"),
        // What is exactly E.164 is not judged.
        ("+9991234567", "+9991234567"),
        ("+15550100001", "+15550100001"),
    ] {
        assert_eq!(read(spelling), Ok(number.to_owned()), "{spelling:?}");
    }
}

#[test]
fn an_ambiguous_spelling_is_refused_with_what_would_be_right() {
    for national in [
        "0612345678",
        "06 12 34 56 78",
        "(06) 12 34 56 78",
        "0151 23456789",
        "020 7946 0958",
        // Without the zero, too.
        "612345678",
        "6 12 34 56 78",
        "(202) 555-0123",
        "2025550123",
        // São Paulo and China, which look like North America.
        "11987654321",
        "(11) 98765-4321",
        "13812345678",
        // Russia's own prefix.
        "8 (916) 123-45-67",
        // The prefixes of other countries for calls abroad.
        "011 33 6 12 34 56 78",
        "1234567",
        "12345",
        "0612345678@c.us",
        "tel:0612345678",
    ] {
        assert_eq!(read(national), Err(NoPhone::NoCountry), "{national:?}");
    }
    assert!(NoPhone::NoCountry.wanted().contains("+33612345678"));
}

#[test]
fn a_spelling_that_names_no_number_is_refused() {
    let long = "1".repeat(5000);
    for other in [
        "",
        " ",
        "+",
        "()",
        "nobody",
        "+33 6 12 34 56 78 / +33 6 98 76 54 32",
        "+33612345678+",
        "33612345678;33698765432",
        "+33 6 12 34 56 78 ext. 5",
        "+1 800 FLOWERS",
        "3.36E+10",
        "33612345678.0",
        "+491510000002.0",
        "33612345678@lid",
        "33612345678@g.us",
        "33612345678@example.org",
        "@s.whatsapp.net",
        "waid=",
        "TEL;waid=33612345678:1\nTEL;waid=33698765432:2",
        "https://wa.me/qr/ABCDEF",
        "https://wa.me/message/ABC123",
        "https://wa.me/33612345678/1",
        "https://chat.whatsapp.com/ABCDEF",
        "https://example.org/33612345678",
        "https://api.whatsapp.com/send?text=hello",
        &long,
    ] {
        assert_eq!(read(other), Err(NoPhone::NotANumber), "{other:?}");
    }
    for (wrong, why) in [
        ("+33 6 12 34 56", NoPhone::Length),
        ("+33 6 12 34 56 78 9", NoPhone::Length),
        ("0033 6 12 34", NoPhone::Length),
        ("+999 123 456 789", NoPhone::NotANumber),
        ("00999123456789", NoPhone::NotANumber),
    ] {
        assert_eq!(read(wrong), Err(why), "{wrong:?}");
    }
}

#[test]
fn a_national_spelling_is_read_in_its_country() {
    for (spelling, country, number) in [
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("612345678", "ES", "+34612345678"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("011 33 6 12 34 56 78", "US", "+33612345678"),
        ("+33 6 12 34 56 78", "US", "+33612345678"),
        ("8 (916) 123-45-67", "RU", "+79161234567"),
        ("(11) 98765-4321", "BR", "+5511987654321"),
    ] {
        let read = phone_in(spelling, country.parse().ok());
        let read = read.map(|phone| phone.as_str().to_owned());
        assert_eq!(read, Ok(number.to_owned()), "{spelling:?}");
    }
    assert_eq!(
        phone_in("06 12", "FR".parse().ok()).map(|_| ()),
        Err(NoPhone::Length)
    );
}

#[test]
fn a_number_is_printed_with_its_country() {
    let printed = |text: &str| printed(&Phone::parse(text).unwrap());
    let france = (Some("+33 6 12 34 56 78".to_owned()), Some("FR".to_owned()));
    assert_eq!(printed("+33612345678"), france);
    assert_eq!(printed("+9991234567"), (None, None));
}

/// One number of each country that has an example of a mobile number.
fn examples() -> Vec<String> {
    let regions = PHONE_NUMBER_UTIL.get_supported_regions();
    let example = |region| {
        PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, PhoneNumberType::Mobile)
    };
    let mut all: Vec<_> = regions
        .filter_map(|region| shown(&example(region).ok()?))
        .map(|phone| phone.as_str().to_owned())
        .collect();
    all.sort();
    all
}

#[test]
fn the_spelling_of_every_country_is_taken() {
    let all = examples();
    assert!(all.len() > 200, "{}", all.len());
    for number in all {
        let digits = &number[1..];
        for spelling in [
            number.clone(),
            digits.to_owned(),
            format!("00{digits}"),
            format!("{digits}@s.whatsapp.net"),
            printed(&Phone::parse(&number).unwrap()).0.unwrap(),
        ] {
            assert_eq!(read(&spelling), Ok(number.clone()), "{spelling:?}");
        }
    }
}

proptest! {
    /// Whatever stands between the digits, and however they begin, it is the same number.
    #[test]
    fn a_spelling_with_any_separators_is_the_same_number(
        which in 0..200_usize,
        prefix in prop::sample::select(vec!["+", "00", "", "(+", "\u{202a}+", "tel:+", " +"]),
        between in prop::collection::vec(prop::sample::select(vec!["", " ", "-", ".", "/", "\u{a0}", "\u{2011}", ") ", "\u{200e}"]), 16),
    ) {
        let number = examples().swap_remove(which);
        let mut spelling = prefix.to_owned();
        for (digit, between) in number[1..].chars().zip(&between) {
            spelling.push(digit);
            spelling.push_str(between);
        }
        // `1234567.8` may be the number of a spreadsheet.
        prop_assume!(spelling.matches('.').count() != 1);
        prop_assert_eq!(read(&spelling), Ok(number));
    }

    /// No text makes it panic, and what is taken is E.164.
    #[test]
    fn a_spelling_of_anything_is_taken_as_e164_or_refused(text in "[+0-9 ().@a-z\u{200e}٣=;:/%-]{0,40}|\\PC{0,60}") {
        if let Ok(phone) = phone(&text) {
            prop_assert!(Phone::parse(phone.as_str()).is_some());
            // It is its own normal form.
            prop_assert_eq!(read(phone.as_str()), Ok(phone.as_str().to_owned()));
        }
    }
}

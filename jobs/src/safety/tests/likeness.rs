//! Fingerprints, over a corpus of texts.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::safety::likeness::Fingerprint;

const KEY: [u8; 16] = *b"sixteen bytes ok";
const FILLS: usize = 40;
const NAMES: [&str; 10] = [
    "Amélie",
    "Bashir",
    "Chiara",
    "Dmitri",
    "Esperanza",
    "Fatou",
    "Gustav",
    "Hiroko",
    "Ines",
    "Jo",
];
const GOODS: [&str; 6] = [
    "olive oil",
    "running shoes",
    "desk lamp",
    "birthday cake",
    "winter coat",
    "garden chairs",
];
const DAYS: [&str; 5] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
const TALK: [&str; 14] = [
    "Good morning! Did the plumber already call you back?",
    "Yes, please send it to my office instead of my home",
    "I will be twenty minutes late, the bridge is closed again",
    "Could you check whether the blue one is in stock in size 42?",
    "Thanks a lot, that was really quick, my daughter loves it",
    "No, the invoice still shows my old address in Lyon",
    "We are closed on Sunday, but I can bring it on Monday evening",
    "Which cable do I need for the older model of the printer?",
    "My parcel says delivered, but nothing is in front of the door",
    "Is the swimming course in March for beginners as well?",
    "Ok, then let us move the meeting to the week after Easter",
    "The cake was wonderful, everybody asked where it came from",
    "Please cancel the second chair, one is enough for the balcony",
    "How long does the battery last if I use it outdoors in winter?",
];

fn pick<'a>(chance: &mut StdRng, of: &[&'a str]) -> &'a str {
    of[chance.random_range(0..of.len())]
}

/// Fills one of five templates.
fn filled(template: usize, chance: &mut StdRng) -> String {
    let (name, goods, day) = (
        pick(chance, &NAMES),
        pick(chance, &GOODS),
        pick(chance, &DAYS),
    );
    let number = chance.random_range(1000..1_000_000);
    let (hour, price) = (chance.random_range(8..20), chance.random_range(5..900));
    match template {
        0 => format!(
            "Hello {name}, your order {number} with the {goods} has left our warehouse this morning. \
             You can follow the parcel at https://parcels.example/t/{number} until it reaches your door."
        ),
        1 => format!(
            "Dear {name}, this is a reminder of your appointment at the dental practice on {day} at {hour}:30. \
             If you cannot come, please write to us at least one day before so that somebody else can have your place."
        ),
        2 => format!(
            "Your code for signing in is {number}. It is valid for ten minutes. Never share this code with anybody, \
             not even with people who say that they work for us."
        ),
        3 => format!(
            "Good day {name}. Invoice {number} over {price}.50 EUR for the {goods} is due next {day}. \
             The bank details are on its second page; if it is already paid, nothing more needs to be done."
        ),
        _ => format!(
            "{name}, we have reserved a table for {hour} people on {day} under the number {number}. \
             The kitchen closes at ten, and the terrace is open as long as the weather stays as warm as it is now."
        ),
    }
}

/// Returns an advertisement whose sender tries to make each copy look different.
fn spun(chance: &mut StdRng) -> String {
    let mut pick = |of: &[&'static str]| of[chance.random_range(0..of.len())];
    let text = format!(
        "{} {}! Our {} summer sale starts this weekend in the shop on Harbour Street: every garden chair, table and parasol is \
         thirty percent {} until {} evening. Bring this message with you and you get a {} of lemonade {}. We look forward \
         to {} you and your family! {}",
        pick(&["Hello", "Hi", "Dear"]),
        pick(&NAMES),
        pick(&["big", "great"]),
        pick(&["cheaper", "off"]),
        pick(&["Sunday", "Saturday"]),
        pick(&["glass", "bottle"]),
        pick(&["for free", "as a gift"]),
        pick(&["seeing", "meeting"]),
        pick(&["", "🌞", "🌴🌴", "!!!"]),
    );
    let mut varied = String::new();
    for char in text.chars() {
        varied.push(char);
        match chance.random_range(0..20) {
            0 => varied.push('\u{200b}'),
            1 if char == ' ' => varied.push(' '),
            2 => varied.push('\u{2060}'),
            _ => (),
        }
    }
    varied
}

fn print_of(text: &str) -> Fingerprint {
    Fingerprint::of(text, &KEY).unwrap()
}

/// Returns how many of 300 texts to new recipients pass when ten near ones are the limit.
fn passed(mut text: impl FnMut() -> String) -> usize {
    let mut gone: Vec<Fingerprint> = Vec::new();
    for _ in 0..300 {
        let print = print_of(&text());
        if gone.iter().filter(|other| other.is_near(&print)).count() < 10 {
            gone.push(print);
        }
    }
    gone.len()
}

#[test]
fn safety_texts_of_one_template_are_near_and_those_of_another_are_not() {
    eprintln!("seed 1");
    let mut chance = StdRng::seed_from_u64(1);
    let texts: Vec<Vec<_>> = (0..5)
        .map(|template| {
            (0..FILLS)
                .map(|_| print_of(&filled(template, &mut chance)))
                .collect()
        })
        .collect();
    for (template, own) in texts.iter().enumerate() {
        let near = own
            .iter()
            .flat_map(|a| own.iter().map(move |b| a.is_near(b)));
        let near = near.filter(|near| *near).count();
        eprintln!(
            "template {template}: {near} of {} pairs are near",
            FILLS * FILLS
        );
        assert!(
            near * 100 >= FILLS * FILLS * 80,
            "template {template}: {near}"
        );
        let others = texts
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != template);
        for (other, theirs) in others {
            let mixed = own.iter().any(|a| theirs.iter().any(|b| a.is_near(b)));
            assert!(!mixed, "templates {template} and {other}");
        }
    }
}

#[test]
fn safety_lines_of_a_conversation_are_near_to_nothing() {
    let mut chance = StdRng::seed_from_u64(2);
    let talk = TALK.map(print_of);
    for (i, line) in talk.iter().enumerate() {
        assert!(
            talk.iter().skip(i + 1).all(|other| !line.is_near(other)),
            "{}",
            TALK[i]
        );
        for template in 0..5 {
            assert!(!line.is_near(&print_of(&filled(template, &mut chance))));
        }
    }
}

#[test]
fn safety_a_text_for_three_hundred_people_stops_early_however_it_is_varied() {
    for seed in 0..2 {
        eprintln!("seed {seed}");
        let mut chance = StdRng::seed_from_u64(seed);
        let plain = passed(|| filled(0, &mut chance));
        let varied = passed(|| spun(&mut chance));
        eprintln!("{plain} plain ones and {varied} varied ones of 300 pass");
        assert!(plain <= 12, "{plain}");
        assert!(varied <= 18, "{varied}");
    }
}

#[test]
fn safety_what_nobody_sees_changes_no_fingerprint() {
    let plain = print_of("Your parcel 4711 arrives on Tuesday. Details: https://a.example/1");
    for same in [
        "your PARCEL 23 arrives  on Tuesday - details www.b.example",
        "Yo\u{200b}ur par\u{ad}cel 99999 arrives on\u{a0}Tuesday! Details: HTTPS://c.example?x=y",
        "Ｙour párcel ８ arrives on Tuesday. Details: https://d.example",
    ] {
        assert_eq!(print_of(same), plain, "{same}");
    }
}

#[test]
fn safety_two_texts_that_share_one_word_often_are_not_near() {
    let many = "ha ".repeat(40);
    let a = print_of(&format!(
        "{many} yes, the train at half past nine would suit me best"
    ));
    let b = print_of(&format!(
        "{many} no idea, my cousin knows more about wooden floors"
    ));
    assert!((a.simhash ^ b.simhash).count_ones() <= 12);
    assert!(!a.is_near(&b));
}

#[test]
fn safety_two_texts_whose_words_all_differ_are_not_near() {
    let words = [
        "Lieferbestaetigung",
        "Rechnungsbetrag",
        "Abholungstermin",
        "Kundennummer",
        "Gutschein",
    ];
    let with = |end: &str| words.map(|word| format!("{word}{end}")).join(" ");
    let (a, b) = (print_of(&with("")), print_of(&with("en")));
    let common = a.minhash.iter().zip(&b.minhash).filter(|(a, b)| a == b);
    assert!(common.count() >= 32);
    assert!(!a.is_near(&b));
}

#[test]
fn safety_scripts_without_spaces_have_fingerprints_too() {
    let a = print_of(
        "李明您好您的订单1234已经从我们的仓库发出预计明天下午送到请保持电话畅通如果不在家请告诉我们谢谢",
    );
    let b = print_of(
        "王芳您好您的订单98765已经从我们的仓库发出预计明天下午送到请保持电话畅通如果不在家请告诉我们谢谢",
    );
    let c = print_of("下周三的会议改到上午十点在二楼的大会议室请带上你的电脑和上个月的报告材料");
    assert!(a.is_near(&b));
    assert!(!a.is_near(&c));
}

#[test]
fn safety_short_texts_have_no_fingerprint_and_each_key_makes_its_own() {
    for short in [
        "",
        "Thank you!",
        "ok 👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍",
        "12345678901234567890123",
    ] {
        assert_eq!(Fingerprint::of(short, &KEY), None, "{short}");
    }
    let text = "Your order has left our warehouse this morning";
    let other = Fingerprint::of(text, &[7; 16]).unwrap();
    assert!(!print_of(text).is_near(&other));
    // A long text costs no more than its beginning.
    assert!(Fingerprint::of(&"a long text ".repeat(1_000_000), &KEY).is_some());
}

#[test]
fn safety_a_fingerprint_survives_the_store() {
    let print = print_of("Your order has left our warehouse this morning");
    let bytes = print.to_bytes();
    assert_eq!(bytes.len(), Fingerprint::LENGTH);
    assert_eq!(Fingerprint::from_bytes(&bytes), Some(print));
    for length in [0, 7, 8, Fingerprint::LENGTH - 1] {
        assert_eq!(Fingerprint::from_bytes(&bytes[..length]), None);
    }
    assert_eq!(Fingerprint::from_bytes(&[0; Fingerprint::LENGTH + 4]), None);
}

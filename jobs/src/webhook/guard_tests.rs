//! The guard, address by address.

use super::*;

/// Addresses that must never be dialled.
const CLOSED: &[&str] = &[
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/",
    "http://127.255.255.254/",
    "http://127.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1./",
    "http://①②⑦.0.0.1/",
    "http://localhost/",
    "http://localhost./",
    "http://LOCALHOST/",
    "http://a.localhost/",
    "http://0.0.0.0/",
    "http://0/",
    "http://0.1.2.3/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://192.168.0.1/",
    "http://192.168.255.255/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://198.51.100.7/",
    "http://203.0.113.7/",
    "http://224.0.0.1/",
    "http://239.255.255.255/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:10.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[100::1]/",
    "http://[2001::1]/",
    "http://[2001:1ff::1]/",
    "http://[2001:db8::1]/",
    "http://[2002:7f00:1::]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2606:4700::5efe:7f00:1]/",
    "http://[2606:4700::200:5efe:7f00:1]/",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://:secret@example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "unix:/var/run/docker.sock",
    "//example.com/",
    "example.com",
    "",
    "http://",
    "http://[::1",
    "http://example.com:22/",
    "http://example.com:25/",
    "https://example.com:6/",
    "http://example.com:99999/",
    "http://exa mple.com/",
    "http://300.1.1.1/",
];

const OPEN: &[&str] = &[
    "https://example.com/hooks",
    "http://example.com/",
    "https://example.com:8443/x?y=z",
    "https://example.com:443/",
    "http://8.8.8.8/",
    "http://100.63.255.255/",
    "http://100.128.0.1/",
    "http://172.15.0.1/",
    "http://172.32.0.1/",
    "http://192.0.1.1/",
    "http://198.17.0.1/",
    "http://198.20.0.1/",
    "http://223.255.255.255/",
    "http://[2606:4700:4700::1111]/",
    "http://[2001:200::1]/",
    "http://[2001:4860:4860::8888]/",
    "http://[64:ff9b::8.8.8.8]/",
    "https://bücher.example/",
    "https://notlocalhost/",
];

#[test]
fn nothing_inside_is_dialled() {
    let egress = Egress::default();
    let opened: Vec<_> = CLOSED
        .iter()
        .filter(|url| egress.check_url(url).is_ok())
        .collect();
    assert!(opened.is_empty(), "{opened:?}");
    assert!(CLOSED.len() >= 50);
}

#[test]
fn public_addresses_are_dialled() {
    let egress = Egress::default();
    let closed: Vec<_> = OPEN
        .iter()
        .filter(|url| egress.check_url(url).is_err())
        .collect();
    assert!(closed.is_empty(), "{closed:?}");
}

#[test]
fn the_operator_opens_a_range_and_no_more() {
    let egress = Egress::new(vec!["127.0.0.0/8".parse().unwrap()]);
    for open in [
        "http://127.0.0.1:9/",
        "http://localhost:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
    ] {
        assert!(egress.check_url(open).is_ok(), "{open}");
    }
    for closed in [
        "http://10.0.0.1/",
        "http://[::1]/",
        "ftp://127.0.0.1/",
        "http://u@127.0.0.1/",
    ] {
        assert_eq!(egress.check_url(closed), Err(UrlNotAllowed), "{closed}");
    }
}

#[test]
fn an_address_too_long_is_refused() {
    let url = format!("https://example.com/{}", "x".repeat(URL_MAX));
    assert_eq!(Egress::default().check_url(&url), Err(UrlNotAllowed));
}

async fn resolve(egress: Egress, answer: &[&str]) -> Result<Vec<IpAddr>, String> {
    let answer: Vec<IpAddr> = answer.iter().map(|ip| ip.parse().unwrap()).collect();
    let look_up: LookUp = Arc::new(move |_| {
        let answer = answer.clone();
        Box::pin(async move { Ok(answer) })
    });
    let name = "hooks.example".parse().unwrap();
    match Guarded::over(egress, look_up).resolve(name).await {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn of_a_name_only_public_addresses_are_dialled() {
    let mixed = ["127.0.0.1", "93.184.216.34", "fe80::1", "2606:4700::1111"];
    let found = resolve(Egress::default(), &mixed).await.unwrap();
    let public: [IpAddr; 2] = [
        "93.184.216.34".parse().unwrap(),
        "2606:4700::1111".parse().unwrap(),
    ];
    assert_eq!(found, public);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_in_the_same_words() {
    let refused = resolve(Egress::default(), &["169.254.169.254"])
        .await
        .unwrap_err();
    assert_eq!(refused, UrlNotAllowed.to_string());
    assert_eq!(resolve(Egress::default(), &[]).await.unwrap_err(), refused);
}

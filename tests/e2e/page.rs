//! The live page in a browser: it loads and is content, moves with the traffic, and shows what has failed.

use std::path::Path;
use std::process::Command;

use crate::support::browser::Browser;
use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::ports::Ports;
use crate::support::process::run;
use crate::support::rude::{Rude, Script};
use crate::support::strict::Strict;
use crate::support::{Scene, USER, eventually, noise};

/// A figure at the top of the page, by its name: its value and the line below.
fn figure(browser: &Browser, name: &str) -> String {
    let script = format!(
        "return [...document.querySelectorAll('#figures > div')] \
         .find(figure => figure.querySelector('dt').textContent === '{name}')?.textContent ?? ''"
    );
    browser.ask(&script).as_str().unwrap().to_owned()
}

fn state(browser: &Browser) -> String {
    let state = browser.ask("return document.body.dataset.state");
    state.as_str().unwrap().to_owned()
}

/// Whether anything is wider than the page.
fn fits(browser: &Browser) -> bool {
    let script =
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    browser.ask(script) == true
}

#[test]
fn the_page_moves_with_the_traffic_and_shows_what_fails() {
    let scene = Scene::new();
    let mut rude = Rude::start(&scene, Script::new().file("file", &noise(300_000)));
    let backend = rude.address();
    let ports = Ports::reserve();
    let admin = format!("127.0.0.1:{}", ports.control());
    let setup = Setup::new().admin("address", &format!("\"{admin}\""));
    let gate = Gate::start(&scene, backend, setup);
    let browser = Browser::start(&scene);
    browser.show_as(1400, 1300, "light");
    browser.open(&format!("http://{admin}/"));

    // Nobody has come: the page says so, and where the gate waits.
    browser.wait_for("#wants", &gate.address().to_string());
    assert_eq!(state(&browser), "live");
    browser.wait_for("#backends li", &backend.to_string());

    let mut client = Strict::open(gate.address(), &scene.authority, Versions::Both);
    for _ in 0..20 {
        client.download("RETR file").reply.expect(&[226]);
    }
    eventually("the downloads are seen", || {
        figure(&browser, "Transfers completed").contains("20 since start")
    });
    assert!(figure(&browser, "Sessions").starts_with("Sessions1 "));
    browser.wait_for("#ends", "completed2020");
    browser.wait_for("#wants", "Nothing wants attention");
    browser.picture("page-light");

    // A configuration that is refused stays what wants attention until one is good.
    let good = std::fs::read_to_string(scene.path("gate.toml")).unwrap();
    scene.file(
        "gate.toml",
        format!("{good}\n[timeouts]\nidle = \"soon\"\n"),
    );
    gate.signal("HUP");
    browser.wait_for("#wants", "the last reload was refused");
    browser.wait_for("#wants", "timeouts.idle");
    scene.file("gate.toml", good);
    gate.signal("HUP");
    browser.wait_for("#wants", "Nothing wants attention");

    // Paused, it shows what it has shown.
    browser.click("#pause");
    assert_eq!(state(&browser), "paused");
    client.download("RETR file").reply.expect(&[226]);
    assert!(figure(&browser, "Transfers completed").contains("20 since start"));
    browser.click("#pause");
    eventually("it goes on", || {
        figure(&browser, "Transfers completed").contains("21 since start")
    });

    // One core for itself, and the times since the start, by keyboard and pointer.
    browser.click("#span-start");
    browser.click("#phases tbody tr:nth-child(3) button");
    browser.wait_for("#phases thead", "times");
    browser.click("#sessions summary");
    browser.wait_for("#sessions tbody", USER);

    // The backend goes away: whoever comes now is turned away, and the page tells which member it is.
    rude.leave();
    let mut late = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    late.auth();
    late.say(&format!("USER {USER}")).expect(&[421]);
    browser.wait_for("#backends li.warn, #backends li.bad", &backend.to_string());
    browser.wait_for("#wants", &format!("{backend} (refused)"));
    browser.show_as(1400, 1300, "dark");
    browser.picture("page-dark");
    browser.show_as(360, 2600, "light");
    eventually("it fits a phone", || fits(&browser));
    browser.picture("page-phone");
    assert_eq!(browser.console(), Vec::<serde_json::Value>::new());

    drop(gate);
    eventually("the page says that it is lost", || {
        state(&browser) == "lost"
    });
    browser.wait_for("#link-text", "no answer since");
    browser.picture("page-lost");
}

#[test]
fn the_page_comes_by_tls_and_asks_for_the_token() {
    let scene = Scene::new();
    let rude = Rude::start(&scene, Script::new());
    let ports = Ports::reserve();
    let admin = format!("127.0.0.1:{}", ports.control());
    let token = "0123456789abcdef-page";
    let file = scene.file("admin.token", token);
    let authority = &scene.authority;
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let setup = Setup::new()
        .admin("address", &format!("\"{admin}\""))
        .admin("certificate", &quoted(authority.certificate_file()))
        .admin("key", &quoted(authority.key_file()))
        .admin("token_file", &quoted(&file));
    let gate = Gate::start(&scene, rude.address(), setup);
    // It knows no authority of the tests: it is told which key is the gate's.
    let key = format!(
        "openssl x509 -in {} -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
        authority.certificate_file().display()
    );
    let key = run(Command::new("sh").args(["-c", &key])).ok().text();
    let known = format!("--ignore-certificate-errors-spki-list={}", key.trim());
    let browser = Browser::start_with(&scene, &[&known]);
    browser.open(&format!("https://{admin}/"));
    eventually("the token is asked for", || {
        browser.ask("return !document.getElementById('ask').hidden") == true
    });
    assert_eq!(state(&browser), "lost");
    browser.ask(&format!(
        "document.getElementById('token').value = '{token}'"
    ));
    browser.click("#ask button");
    browser.wait_for("#wants", &gate.address().to_string());
    assert_eq!(state(&browser), "live");
    assert_eq!(
        browser.ask("return document.getElementById('ask').hidden"),
        true
    );
}

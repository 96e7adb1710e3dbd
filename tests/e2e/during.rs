//! While a transfer runs: NOOP and STAT are answered, QUIT and the end of the client's sending side wait for its end, and
//! ABOR is heard in whatever form Telnet has taught clients to send it (rule 12).

use crate::support::certs::Versions;
use crate::support::gate::{Gate, Setup};
use crate::support::rude::{Act, Ended, Rude, Script};
use crate::support::strict::Strict;
use crate::support::wire::{Got, Wire};
use crate::support::{Scene, eventually, noise};

/// Half of this has moved when the backend stalls.
const STUCK: usize = 100_000;

fn start(setup: Setup) -> (Scene, Rude, Gate) {
    let scene = Scene::new();
    let script = Script::new()
        .file("stuck", &noise(STUCK))
        .file("drip", &noise(STUCK))
        .file("good", b"payload")
        .on("RETR stuck", Act::Stall)
        .on("RETR drip", Act::Drip)
        .on("STOR drip", Act::Drip);
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), setup);
    (scene, rude, gate)
}

fn private(scene: &Scene, gate: &Gate) -> Strict {
    Strict::open(gate.address(), &scene.authority, Versions::Both)
}

/// A session in clear text throughout, on a listener that allows it.
fn clear(scene: &Scene, gate: &Gate) -> Strict {
    let mut client = Strict::greet(gate.address(), scene.authority.client(Versions::Both));
    client.login();
    client.say("TYPE I").expect(&[200]);
    client
}

/// A download that has moved what it ever will until somebody ends it.
fn stuck(client: &mut Strict) -> Wire {
    let address = client.passive();
    client.tell("RETR stuck");
    client.hear().expect(&[150]);
    let mut data = client.connect_data(address);
    let mut taken = 0;
    while taken < STUCK / 2 {
        let Got::Bytes(bytes) = data.read().unwrap() else {
            panic!("it ended after {taken} bytes");
        };
        taken += bytes.len();
    }
    data
}

#[test]
fn noop_and_stat_are_answered_amid_a_transfer() {
    let (scene, rude, gate) = start(Setup::new());
    let mut client = private(&scene, &gate);
    let data = stuck(&mut client);
    client.say("NOOP").expect(&[200]);
    let status = client.say("STAT").expect(&[213]);
    assert_eq!(status.text, "213 RETR: 50000 bytes so far");
    // A listing over the control connection waits, and NOOP behind it waits as well.
    client.tell("STAT file\r\nNOOP");
    client.say("ABOR").expect(&[426]);
    drop(data);
    client.hear().expect(&[211]);
    client.hear().expect(&[200]);
    client.hear().expect(&[225]);
    let asked = rude.commands();
    assert_eq!(asked.iter().filter(|line| *line == "NOOP").count(), 1);
    client.download("RETR good").assert_complete(b"payload");
}

#[test]
fn quit_and_the_end_of_the_clients_direction_lose_no_transfer() {
    let (scene, rude, gate) = start(Setup::new().listener("tls", "\"optional\""));
    for open in [private, clear] {
        let mut client = open(&scene, &gate);
        let address = client.passive();
        client.tell("RETR drip\r\nQUIT");
        client.control().close_notify().unwrap();
        client.control().fin().unwrap();
        let (bytes, end) = client.connect_data(address).read_to_end();
        assert!(bytes == noise(STUCK), "{} bytes", bytes.len());
        assert_eq!(end.unwrap(), client.control().is_private());
        for code in [150, 226, 221] {
            client.hear().expect(&[code]);
        }
        let (_none, end) = client.control().read_to_end();
        end.unwrap();
    }
    for open in [private, clear] {
        let mut client = open(&scene, &gate);
        let address = client.passive();
        client.tell("STOR drip\r\nQUIT");
        client.control().close_notify().unwrap();
        client.control().fin().unwrap();
        let mut data = client.connect_data(address);
        data.write(b"all of it").unwrap();
        data.close_notify().unwrap();
        data.fin().unwrap();
        for code in [150, 226, 221] {
            client.hear().expect(&[code]);
        }
        assert_eq!(rude.stored("drip").unwrap(), b"all of it");
        drop(data.read_to_end());
    }
    eventually("the backend's sessions end", || rude.sessions() == 0);
    gate.wait_for_ports();
}

#[test]
fn the_end_of_a_client_that_has_not_said_quit_is_the_end_of_its_transfer() {
    let (scene, rude, gate) = start(Setup::new());
    let mut client = private(&scene, &gate);
    let address = client.passive();
    client.tell("STOR partial");
    client.hear().expect(&[150]);
    let mut data = client.connect_data(address);
    data.write(b"not all of it").unwrap();
    gate.wait_for_log("bytes may flow");
    client.control().close_notify().unwrap();
    client.control().fin().unwrap();
    eventually("the backend's session ends", || rude.sessions() == 0);
    assert_eq!(rude.stored("partial"), None);
    let seen = rude.seen("STOR partial");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].ended, Ended::Reset);
    drop(data);
}

/// One piece of what a client sends, as urgent or not; each goes out by itself.
type Piece = (&'static [u8], bool);

/// ABOR as clients send it: the Telnet Interrupt Process and Synch of RFC 959 section 4.1.3 and RFC 854 section 3.
const ABORS: &[&[Piece]] = &[
    // tnftp and its ancestors: the IAC of the data mark is the urgent byte.
    &[
        (b"\xff\xf4", false),
        (b"\xff", true),
        (b"\xf2ABOR\r\n", false),
    ],
    // The data mark itself is.
    &[(b"\xff\xf4\xff\xf2", true), (b"ABOR\r\n", false)],
    // Python's ftplib: all of it, so its line feed is the urgent byte.
    &[(b"ABOR\r\n", true)],
    // One byte at a time, and a negotiation before it.
    &[
        (b"\xff", false),
        (b"\xfd", false),
        (b"\x06", false),
        (b"\xff", false),
        (b"\xf4", true),
        (b"\xff", false),
        (b"\xf2", true),
        (b"A", false),
        (b"BO", true),
        (b"R\r", false),
        (b"\n", false),
    ],
];

#[test]
fn abor_is_heard_behind_urgent_telnet_bytes() {
    let (scene, _rude, gate) = start(Setup::new().listener("tls", "\"optional\""));
    let mut client = clear(&scene, &gate);
    for pieces in ABORS {
        let data = stuck(&mut client);
        for (bytes, is_urgent) in *pieces {
            match is_urgent {
                true => client.control().write_urgent(bytes),
                false => client.control().write_raw(bytes),
            }
            .unwrap();
        }
        client.hear().expect(&[426]);
        client.hear().expect(&[226]);
        drop(data);
        let transfer = client.download("RETR good");
        transfer.reply.expect(&[226]);
        assert_eq!(transfer.bytes, b"payload");
    }
}

#[test]
fn abor_is_heard_behind_telnet_bytes_in_records_of_their_own() {
    let (scene, _rude, gate) = start(Setup::new());
    let mut client = private(&scene, &gate);
    for pieces in ABORS {
        let data = stuck(&mut client);
        for (bytes, _) in *pieces {
            client.control().write(bytes).unwrap();
        }
        client.hear().expect(&[426]);
        client.hear().expect(&[226]);
        drop(data);
        client.download("RETR good").assert_complete(b"payload");
    }
}

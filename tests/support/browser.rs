//! A browser without a window: headless Chromium, told what to do through chromedriver (WebDriver, by HTTP).
//!
//! Its profile lies in the scene's directory, and everything is ended with the value.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::ports::Ports;
use super::process::{Server, run};
use super::{Scene, eventually};

/// What a browser needs to run as root, alone, and asking nobody on the net.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A running browser with one page.
pub(crate) struct Browser {
    session: String,
    // Before the ports it listens on.
    _driver: Server,
    _ports: Ports,
}

impl Browser {
    /// Starts it with an empty page.
    pub(crate) fn start(scene: &Scene) -> Self {
        Self::start_with(scene, &[])
    }

    /// The same with more options.
    pub(crate) fn start_with(scene: &Scene, options: &[&str]) -> Self {
        let ports = Ports::reserve();
        let port = ports.control();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let mut driver = Server::start("chromedriver", &mut command, Vec::new());
        driver.wait_until_listening(port);
        let profile = format!("--user-data-dir={}", scene.folder("browser").display());
        let arguments: Vec<&str> = ARGUMENTS
            .into_iter()
            .chain([profile.as_str()])
            .chain(options.iter().copied())
            .collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let root = format!("http://{}:{port}/session", Ipv4Addr::LOCALHOST);
        let begun = request("POST", &root, Some(&wanted));
        let session = begun["sessionId"].as_str().expect("a session is named");
        Self {
            session: format!("{root}/{session}"),
            _driver: driver,
            _ports: ports,
        }
    }

    fn tell(&self, what: &str, body: &Value) -> Value {
        request("POST", &format!("{}/{what}", self.session), Some(body))
    }

    /// Goes to an address, and waits until it is loaded.
    pub(crate) fn open(&self, address: &str) {
        self.tell("url", &json!({ "url": address }));
    }

    /// What a function body returns in the page.
    pub(crate) fn ask(&self, script: &str) -> Value {
        self.tell("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of all elements that a selector finds.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!(
            "return [...document.querySelectorAll({})].map(found => found.textContent).join('\\n')",
            json!(selector)
        );
        self.ask(&script).as_str().unwrap().to_owned()
    }

    /// Waits until the text that a selector finds contains this.
    #[track_caller]
    pub(crate) fn wait_for(&self, selector: &str, text: &str) {
        let what = format!("{selector} says {text:?}");
        eventually(&what, || self.text(selector).contains(text));
    }

    /// Clicks as a pointer does; fails where something lies above.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.tell(
            "element",
            &json!({ "using": "css selector", "value": selector }),
        );
        let element = found.as_object().unwrap().values().next().unwrap();
        let element = element.as_str().unwrap();
        self.tell(&format!("element/{element}/click"), &json!({}));
    }

    /// Sets the size of the page, and what the person prefers.
    pub(crate) fn show_as(&self, width: u32, height: u32, scheme: &str) {
        let device = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        for (command, values) in [
            ("Emulation.setDeviceMetricsOverride", device),
            ("Emulation.setEmulatedMedia", media),
        ] {
            self.tell(
                "goog/cdp/execute",
                &json!({ "cmd": command, "params": values }),
            );
        }
    }

    /// A picture of what is seen, beside what the tests are built into.
    pub(crate) fn picture(&self, name: &str) -> PathBuf {
        let shot = request("GET", &format!("{}/screenshot", self.session), None);
        let encoded = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.base64"));
        let picture = encoded.with_extension("png");
        std::fs::write(&encoded, shot.as_str().unwrap()).unwrap();
        let bytes = run(Command::new("base64").arg("--decode").arg(&encoded)).ok();
        std::fs::write(&picture, bytes.stdout).unwrap();
        std::fs::remove_file(encoded).unwrap();
        picture
    }

    /// What the page has written to its console since the last time.
    pub(crate) fn console(&self) -> Vec<Value> {
        let log = self.tell("se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium leads a process group of its own: only its driver ends it.
        Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "10",
                "--request",
                "DELETE",
                &self.session,
            ])
            .output()
            .ok();
    }
}

fn request(method: &str, address: &str, body: Option<&Value>) -> Value {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "60",
    ])
    .args(["--request", method]);
    if let Some(body) = body {
        curl.args(["--header", "Content-Type: application/json", "--data"])
            .arg(body.to_string());
    }
    let ran = run(curl.arg(address)).ok();
    let mut answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let value = answer["value"].take();
    assert!(value["error"].is_null(), "{method} {address}: {value}");
    value
}

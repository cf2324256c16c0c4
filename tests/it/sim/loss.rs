//! A world that loses its api, or the key that lets its clients in, while they are using it.

use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::{KeysText, Readers, Tick};
use std::time::Duration;

/// How late the proxy may come to a moment.
const LATE: Duration = Duration::from_millis(2);

/// The api is taken away, or its key.
pub(crate) struct Loss {
    /// When.
    pub(crate) at: Tick,
    /// What is left.
    pub(crate) config: Config,
    /// The field that carries the key, with its line end, if one is needed.
    pub(crate) key: &'static str,
}

impl Loss {
    /// Draws whether there is one, and changes the configuration so that there can be.
    pub(crate) fn draw(rng: &mut Rng, text: &mut String) -> Option<Loss> {
        if !rng.chance(15) {
            return None;
        }
        let at = Tick::from_millis(rng.below(4000));
        let window = rng.pick(&["1ms", "200ms", "2s", "30s"]);
        let mut left = format!("[drain]\nwindow = \"{window}\"\n{text}");
        let mut key = "";
        match rng.below(3) {
            0 => left = left.replace("listen_path", "active = false\nlisten_path"),
            1 => {
                // Whoever speaks TLS there still does.
                let scheme = if text.contains("\"https:") { "https" } else { "http" };
                let target = format!("target_url = \"{scheme}://10.0.0.2\" # ");
                left = left.replace("target_url = ", &target);
            }
            _ => {
                text.push_str("[api.auth]\nkeys_file = \"known\"\n");
                left.push_str("[api.auth]\nkeys_file = \"revoked\"\n");
                key = "Authorization: Bearer apple\r\n";
            }
        }
        Some(Loss { at, config: super::parse(&left), key })
    }

    /// When nothing is there any more that has lost its api, or its key, `now`.
    pub(crate) fn rid_at(&self, now: Tick) -> Tick {
        now.after(self.config.drain.window).after(LATE)
    }
}

/// The key file in front of the loss has "apple", the one behind it "pear".
pub(crate) fn keys(file: &str) -> KeysText {
    let sha256 = match file {
        "known" => "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b",
        _ => "97cfbe87531abe0c6bac7b21d616cb422faaa158a9f2ae7e8685c79eb85fc65e",
    };
    let bytes = format!("[[key]]\nname = \"a\"\nsha256 = \"{sha256}\"").into_bytes();
    KeysText { name: file.to_owned(), bytes, readers: Readers::Few }
}

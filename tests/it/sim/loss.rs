//! A world that loses its api, or the key of its clients, while they are using it.

use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::{KeysText, Readers, Tick};
use std::time::Duration;

/// How late the proxy may act.
const LATE: Duration = Duration::from_millis(2);

/// The api or its key is removed.
pub(crate) struct Loss {
    /// When it is removed.
    pub(crate) at: Tick,
    /// The configuration without it.
    pub(crate) config: Config,
    /// The field with the key, with its line end, if a key is needed.
    pub(crate) key: &'static str,
}

impl Loss {
    /// Draws whether there is a loss, and adapts the configuration if there is.
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
                // It uses TLS if the previous target does.
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

    /// When everything that used the api or the key must be gone, if it is lost `now`.
    pub(crate) fn rid_at(&self, now: Tick) -> Tick {
        now.after(self.config.drain.window).after(LATE)
    }
}

/// The key in the file is "apple" before the loss, and "pear" after it.
pub(crate) fn keys(file: &str) -> KeysText {
    let sha256 = match file {
        "known" => "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b",
        _ => "97cfbe87531abe0c6bac7b21d616cb422faaa158a9f2ae7e8685c79eb85fc65e",
    };
    let bytes = format!("[[key]]\nname = \"a\"\nsha256 = \"{sha256}\"").into_bytes();
    KeysText { name: file.to_owned(), bytes, readers: Readers::Few }
}

//! The configuration without a file (`--to`): everything goes to one target.

use super::error::{ConfigErrors, Location};
use super::{ApiLocations, Config, ListenAddr, Target};

/// The file equivalent to `--to`, except for its two addresses.
const EVERYTHING: &str = "
    [[api]]
    name = 'default'
    listen_path = '/'
    target_url = 'http://127.0.0.1'
";

impl Config {
    /// The configuration that forwards everything from `listen` (127.0.0.1:8080 by default) to
    /// `url`, in which `http://` may be omitted. A host name has no addresses before
    /// [`Config::resolve`].
    ///
    /// # Errors
    /// If the URL or the address is invalid.
    pub fn to(url: &str, listen: Option<&str>) -> Result<Config, ConfigErrors> {
        let mut config = Config::parse("--to", EVERYTHING)?;
        let location = Location::whole("--to");
        let target = Target::parse_typed(url);
        let target = target.map_err(|what| ConfigErrors::one(location.clone(), what))?;
        config.apis[0].targets = vec![target];
        let [target, keys, tls] = [(); 3].map(|()| location.clone());
        let auth = [(); 2].map(|()| location.clone());
        config.locations = vec![ApiLocations { target, keys, tls, auth }];
        if let Some(listen) = listen {
            let address = ListenAddr::parse(listen)
                .map_err(|what| ConfigErrors::one(Location::whole("--listen"), what))?;
            config.server.listen = vec![address];
        }
        Ok(config)
    }
}

//! The event loop: wait for events, record them, take a turn of the proxy, repeat.
//!
//! It owns the poll, the listeners, the clock and a [`Proxy`], and does not deal with signals,
//! files or log output. Each loop is a value on its own thread, and all share a [`Common`]. The
//! process controls a loop only through its methods.
//!
//! What can fail is done before there is a loop ([`Opening`]), on the main thread, so either all
//! loops start or none does.

use super::clock::Clock;
use super::listeners::{self, Listening, Offer};
use super::mailbox::Mailbox;
use super::resolver::Name;
use super::service::Inherited;
use super::sys;
use crate::access::Queue;
use crate::admin::ShellCommand;
use crate::admin::answer::Answer;
use crate::admin::live::LiveNow;
use crate::admin::parts::{Inquiry, Part};
use crate::config::{Config, Tls};
use crate::descriptors::Budget;
use crate::net::Resolution;
use crate::net::mio::{EventSource, MioNet, SocketFile};
use crate::net::tls::{self, TlsNet};
use crate::pool::News;
use crate::proxy::{Common, Message, Portions, Proxy, RESERVED_MAX, Terms, Ticket};
use crate::session::Port;
use crate::time::Tick;
use std::io;
use std::sync::Arc;

/// The most events that one wait returns.
const EVENTS_MAX: usize = 1024;

/// The poll token of everything outside the network that can end a wait: the waker and the sources
/// of [`EventLoop::watch`]. The network's own tokens are below it.
const WAKE: mio::Token = mio::Token(usize::MAX);

/// An event loop with open listeners.
#[derive(Debug)]
pub(super) struct EventLoop {
    poll: mio::Poll,
    events: mio::Events,
    proxy: Proxy<TlsNet<MioNet>>,
    listening: Vec<Listening>,
    clock: Clock,
    /// The index of this loop.
    index: usize,
    /// The messages between loops: a mailbox for each loop, by its index.
    mail: Arc<[Mailbox<Message>]>,
}

/// When a turn was taken, and when the next one is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The time at which the turn began.
    pub(super) now: Tick,
    /// When the next turn is due if no event comes before.
    pub(super) wake: Tick,
}

/// What a loop needs. It is moved to the loop's thread and started there.
#[derive(Debug)]
pub(super) struct Opening {
    poll: mio::Poll,
    net: MioNet,
    config: Config,
    listening: Vec<Listening>,
    budget: Budget,
    sockets_max: usize,
    clock: Clock,
}

impl Opening {
    /// Listens where `config` says, at inherited sockets where there are any, and prepares to serve
    /// with at most `descriptors` file descriptors.
    ///
    /// # Errors
    /// If an address cannot be listened on, or a poll cannot be created.
    pub(super) fn first(
        mut config: Config,
        descriptors: u64,
        inherited: &Inherited,
    ) -> Result<Opening, String> {
        let budget = config.budget(descriptors);
        let sockets_max = 2 * budget.clients.min(RESERVED_MAX);
        let (poll, mut net) = create_poll(sockets_max)?;
        let listening = listeners::open(&mut config, &[], inherited, &mut net)?;
        Ok(Opening { poll, net, config, listening, budget, sockets_max, clock: Clock::start() })
    }

    /// Prepares another loop, one of `loops`, with the same listeners for clients.
    ///
    /// # Errors
    /// If a poll cannot be created, or an address cannot be listened on once more.
    pub(super) fn another(&mut self, loops: usize) -> Result<Opening, String> {
        let sockets_max = self.sockets_max.div_ceil(loops);
        let (poll, mut net) = create_poll(sockets_max)?;
        let Opening { config, listening, .. } = self;
        let offers = listeners::offer(config, listening, &[], &mut self.net)?;
        let listening = listeners::take(offers, &[], &mut net)?;
        // All loops share the start of the clock, because they exchange times.
        let Opening { config, budget, clock, .. } = self;
        let (config, budget, clock) = (config.clone(), *budget, *clock);
        Ok(Opening { poll, net, config, listening, budget, sockets_max, clock })
    }

    /// The configuration, with the ports that the system chose.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// The files of the Unix sockets that it has bound.
    pub(super) fn socket_files(&self) -> impl Iterator<Item = &SocketFile> {
        self.net.socket_files()
    }

    /// Creates the waker, with which another thread can end a wait. There can be only one.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub(super) fn waker(&self) -> Result<Arc<mio::Waker>, String> {
        let waker = mio::Waker::new(self.poll.registry(), WAKE);
        waker.map(Arc::new).map_err(|e| format!("cannot create a waker: {e}"))
    }

    /// Starts the loop with this index, on the thread that is to run it. `mail` has a mailbox for
    /// each loop, with that loop's waker.
    pub(super) fn start(
        self,
        common: Common,
        index: usize,
        mail: Arc<[Mailbox<Message>]>,
    ) -> EventLoop {
        let loops = mail.len();
        let Opening { poll, net, config, listening, budget, sockets_max, mut clock } = self;
        let ports: Vec<Port> = listening.iter().map(|l| l.port).collect();
        let (portions, seed) = (Portions::default(), sys::seed());
        let terms = Terms { budget, portions, seed, common, number: index };
        let net = tls::around(net, sockets_max);
        let mut proxy =
            Proxy::new(net, config.part_of(index, loops), &ports, terms, clock.now().tick);
        for listener in &listening {
            listener.spares().iter().for_each(|spare| proxy.open_spare(*spare, listener.port));
        }
        // The usage of the whole process must be in only one loop's part of an answer.
        if index == 0 {
            proxy.measure_with(sys::usage);
        }
        proxy.measure_thread_with(sys::cpu_of_thread);
        let events = mio::Events::with_capacity(EVENTS_MAX);
        EventLoop { poll, events, proxy, listening, clock, index, mail }
    }
}

/// A poll, and a network whose events come from it.
fn create_poll(sockets_max: usize) -> Result<(mio::Poll, MioNet), String> {
    let poll = mio::Poll::new().map_err(|e| format!("cannot create a poll: {e}"))?;
    let registry = poll.registry().try_clone();
    let registry = registry.map_err(|e| format!("cannot create a poll: {e}"))?;
    Ok((poll, MioNet::new(registry, sockets_max)))
}

impl EventLoop {
    /// Lets a wait end when `source` becomes readable.
    ///
    /// # Errors
    /// If the system is out of memory or watches.
    pub(super) fn watch(&self, source: &mut impl mio::event::Source) -> io::Result<()> {
        self.poll.registry().register(source, WAKE, mio::Interest::READABLE)
    }

    /// The time now.
    pub(super) fn now(&mut self) -> Tick {
        self.clock.now().tick
    }

    /// Handles the recorded events and the timers that are due, and sends messages to other loops.
    pub(super) fn turn(&mut self) -> Turn {
        let now = self.clock.now();
        let wake = self.proxy.turn(now);
        if self.proxy.has_messages() {
            for (to, mailbox) in self.mail.iter().enumerate() {
                let messages = self.proxy.take_messages(to);
                if !messages.is_empty() {
                    mailbox.send_all(messages);
                }
            }
        }
        Turn { now: now.tick, wake }
    }

    /// Waits for events, from `now` until `until` at most, and records all of them for the next
    /// turn before any socket is closed. True if the waker or a watched source has become ready.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn wait(&mut self, now: Tick, until: Tick) -> io::Result<bool> {
        let timeout = (until != Tick::NEVER).then(|| until.since(now));
        match self.poll.poll(&mut self.events, timeout) {
            // A signal interrupted it. The signal has an event source of its own.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => polled?,
        }
        let mut woken = false;
        for event in &self.events {
            if event.token() == WAKE {
                woken = true;
                continue;
            }
            match tls::inner(self.proxy.net()).source_of(event) {
                Some(EventSource::Listener(id)) => self.proxy.on_listener(id),
                Some(EventSource::Socket(token, ready)) => self.proxy.on_socket(token, ready),
                None => {}
            }
        }
        if woken && self.mail.len() > 1 {
            let now = self.clock.now().tick;
            for message in self.mail[self.index].take_all() {
                self.proxy.on_message(message, now);
            }
        }
        Ok(woken)
    }

    /// Opens the listeners of another configuration, and returns them with an offer for each of the
    /// `others`. If that fails, nothing changes.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub(super) fn open_listeners(
        &mut self,
        config: &mut Config,
        others: usize,
        inherited: &Inherited,
    ) -> Result<(Vec<Listening>, Vec<Vec<Offer>>), String> {
        let present = &self.listening;
        let net = tls::inner(self.proxy.net());
        let mut listening = listeners::open(config, present, inherited, net)?;
        let offer = |_| listeners::offer(config, &mut listening, present, net);
        let offers: Result<Vec<_>, _> = (0..others).map(offer).collect();
        match offers {
            Ok(offers) => Ok((listening, offers)),
            Err(error) => {
                listeners::close_new(&listening, present, net);
                Err(error)
            }
        }
    }

    /// Takes the listeners that the first loop offers.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub(super) fn take_listeners(&mut self, offers: Vec<Offer>) -> Result<Vec<Listening>, String> {
        listeners::take(offers, &self.listening, tls::inner(self.proxy.net()))
    }

    /// Closes those of these listeners that this loop does not serve.
    pub(super) fn close_unserved(&mut self, listening: &[Listening]) {
        listeners::close_new(listening, &self.listening, tls::inner(self.proxy.net()));
    }

    /// Serves another configuration at these listeners from now on.
    pub(super) fn reload(&mut self, config: Config, listening: Vec<Listening>, descriptors: u64) {
        let write_timeout = config.server.write_timeout;
        for listener in &listening {
            let Some(old) = self.listening.iter().find(|old| old.id == listener.id) else {
                self.proxy.open_listener(listener.id, listener.port);
                for spare in listener.spares() {
                    self.proxy.open_spare(*spare, listener.port);
                }
                continue;
            };
            for id in listener.ids() {
                tls::inner(self.proxy.net()).limit_writes_at(id, write_timeout);
                if old.port != listener.port {
                    self.proxy.change_listener(id, listener.port);
                }
            }
        }
        for old in &self.listening {
            if listening.iter().all(|listener| listener.id != old.id) {
                let now = self.clock.now().tick;
                old.ids().for_each(|id| self.proxy.close_listener(id, now));
            }
        }
        self.listening = listening;
        let budget = config.budget(descriptors);
        self.proxy.reload(config, budget, self.clock.now().tick);
    }

    /// The TLS configuration for new handshakes.
    pub(super) const fn tls(&self) -> &Arc<Tls> {
        self.proxy.tls()
    }

    /// Replaces the TLS configuration for new handshakes.
    pub(super) fn renew(&mut self, tls: Tls) {
        self.proxy.renew(tls);
    }

    /// Begins to drain, as the configuration says.
    pub(super) fn drain(&mut self) {
        let now = self.clock.now().tick;
        self.proxy.drain(now);
    }

    /// Reports the steps of the drain that not all loops have taken.
    pub(super) fn tell_drain(&self) {
        self.proxy.tell_drain();
    }

    /// Closes everything that is open at once.
    pub(super) fn end(&mut self) {
        let now = self.clock.now().tick;
        self.proxy.end(now);
    }

    /// True once [`EventLoop::drain`] was called.
    pub(super) const fn is_draining(&self) -> bool {
        self.proxy.is_draining()
    }

    /// True once it has closed its listeners for clients and no client connection is left.
    pub(super) fn is_drained(&self) -> bool {
        self.proxy.is_drained()
    }

    /// The number of streams, tunnels and other requests that the drain has cut.
    pub(super) const fn cut_in_drain(&self) -> u64 {
        self.proxy.cut_in_drain()
    }

    /// Closes the remaining listeners, such as the admin listener.
    pub(super) fn close_listeners(&mut self) {
        self.proxy.close_listeners();
    }

    /// The number of client connections that are open in all loops.
    pub(super) fn connections_of_all(&self) -> usize {
        self.proxy.connections_of_all()
    }

    /// Takes the next command from the admin listener. The ticket identifies it in
    /// [`EventLoop::answer_command`].
    pub(super) fn next_command(&mut self) -> Option<(Ticket, ShellCommand)> {
        self.proxy.next_command()
    }

    /// Answers a command of the admin listener.
    pub(super) fn answer_command(&mut self, ticket: Ticket, answer: Answer) {
        let now = self.clock.now().tick;
        self.proxy.answer_command(ticket, answer, now);
    }

    /// Notes what became of a reload, for metrics and the live page.
    pub(super) fn note_reload(&mut self, result: Result<(), &str>) {
        let now = self.clock.now();
        self.proxy.note_reload(result.map(|()| now.unix_ms));
    }

    /// This loop's part of the answer to a question of the operator.
    pub(super) fn part_of(&mut self, inquiry: Inquiry) -> Part {
        let now = self.clock.now();
        self.proxy.part_of(inquiry, now)
    }

    /// True if the live page has asked for the states of all loops since the last call.
    pub(super) const fn wants_tick(&mut self) -> bool {
        self.proxy.wants_tick()
    }

    /// Sends the state of all loops to the live page's viewers.
    pub(super) fn tell_watchers(&mut self, state: &LiveNow) {
        let now = self.clock.now();
        self.proxy.tell_watchers(state, now);
    }

    /// True if this loop has refused a client for lack of room since the last call, so that another
    /// loop could make some.
    pub(super) const fn wants_room(&mut self) -> bool {
        self.proxy.wants_room()
    }

    /// Makes room for a client of another loop. False if that is impossible.
    pub(super) fn make_room(&mut self) -> bool {
        let now = self.clock.now().tick;
        self.proxy.make_room(now)
    }

    /// Takes the news about targets that the other loops have to know.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        self.proxy.take_news()
    }

    /// Applies news about a target from another loop.
    pub(super) fn learn(&mut self, news: &News) {
        let now = self.clock.now().tick;
        self.proxy.learn(news, now);
    }

    /// Takes the next name whose addresses are stale.
    pub(super) fn next_stale_name(&mut self) -> Option<Name> {
        self.proxy.next_stale_name()
    }

    /// Passes on the addresses of a name, or why it has none.
    pub(super) fn name_resolved(&mut self, (host, port): &Name, resolution: &Resolution) {
        let now = self.clock.now().tick;
        self.proxy.name_answered((host, *port), resolution, now);
    }

    /// The access log lines that wait to be written.
    pub(super) const fn access_log(&mut self) -> &mut Queue {
        self.proxy.access()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::net::mio::Listener;
    use socket2::SockRef;
    use std::time::Duration;

    fn config(write_timeout: &str) -> Config {
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nreuse_port = true\n\
             write_timeout = '{write_timeout}'\n[demo]\nlisten = '127.0.0.1:0'\n"
        );
        Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The kernel's limit on each listening socket of the first loop.
    fn write_timeouts(event_loop: &mut EventLoop) -> Vec<Option<Duration>> {
        let ids: Vec<_> = event_loop.listening.iter().flat_map(|listener| listener.ids()).collect();
        let net = tls::inner(event_loop.proxy.net());
        let timeout = |id| match &net.share_listener(id).unwrap() {
            Listener::Tcp(socket, _) => SockRef::from(socket).tcp_user_timeout().unwrap(),
            Listener::Unix(..) => None,
        };
        ids.into_iter().map(timeout).collect()
    }

    /// It applies to listeners that stay and to those of other loops. More than the kernel accepts
    /// does not prevent listening.
    #[test]
    fn a_reload_sets_the_write_timeout_everywhere() {
        let inherited = Inherited::default();
        let mut first = Opening::first(config("30s"), 1000, &inherited).unwrap();
        let other = first.another(2).unwrap();
        let wakers = [&first, &other].map(|opening| opening.waker().unwrap());
        let mail = wakers.into_iter().map(Mailbox::of).collect();
        let mut event_loop = first.start(Common::of(2), 0, mail);
        // The first one, its spare, and the listener of the demo.
        let all = |seconds| vec![Some(Duration::from_secs(seconds)); 3];
        assert_eq!(write_timeouts(&mut event_loop), all(30));
        for (write_timeout, seconds) in [("2s", 2), ("1h", 3600)] {
            let mut config = config(write_timeout);
            let (listening, _) = event_loop.open_listeners(&mut config, 1, &inherited).unwrap();
            event_loop.reload(config, listening, 1000);
            assert_eq!(write_timeouts(&mut event_loop), all(seconds), "{write_timeout}");
        }
        assert!(Opening::first(config("8760h"), 1000, &inherited).is_ok());
    }
}

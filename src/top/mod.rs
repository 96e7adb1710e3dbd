//! `sluicegate top`: the live page for a terminal, drawn from the same answers of `/status`.
//! The command line starts it; it asks a running gate once a second from a thread of its own, and draws what it hears.
//! It never changes anything at the gate, and never knows more than the gate tells.

mod arguments;
mod ask;
mod model;
mod screen;

use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub use arguments::Arguments;
pub use ask::{Place, Question};
use model::{Model, Status};

use crate::limits::{TOP_KEYS_PAUSE, TOP_PERIOD};

/// What was heard: the state of the gate, or why there is none.
type Heard = Result<Status, String>;

/// Shows a gate until the operator has seen enough.
///
/// # Errors
/// When there is no terminal to draw on, or it is gone.
pub fn run(question: Question) -> io::Result<()> {
    let heard = listen(question)?;
    let mut terminal = ratatui::try_init()?;
    let seen = watch(&mut terminal, &heard);
    ratatui::restore();
    seen
}

/// Asks for ever; nobody waits for the thread when the process ends.
fn listen(question: Question) -> io::Result<Receiver<Heard>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // One answer waits at most: who is not drawing does not make a heap of them.
    let (tell, heard) = mpsc::sync_channel(1);
    let ask = move || {
        runtime.block_on(async {
            let mut turns = tokio::time::interval(TOP_PERIOD);
            turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                turns.tick().await;
                if tell.send(question.ask().await).is_err() {
                    return;
                }
            }
        });
    };
    thread::Builder::new().name("ask".to_owned()).spawn(ask)?;
    Ok(heard)
}

fn watch(terminal: &mut ratatui::DefaultTerminal, heard: &Receiver<Heard>) -> io::Result<()> {
    let palette = screen::Palette::of_environment();
    let mut model = Model::default();
    loop {
        match heard.try_recv() {
            Ok(answer) => model.hear(answer),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => model.hear(Err("nobody asks any more".to_owned())),
        }
        terminal.draw(|frame| screen::draw(frame, &model, &palette))?;
        if !event::poll(TOP_KEYS_PAUSE)? {
            continue;
        }
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && !press(&mut model, key)
        {
            return Ok(());
        }
    }
}

/// What a key does; false when it ends the view.
fn press(model: &mut Model, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('p' | ' ') => model.paused = !model.paused,
        KeyCode::Char('s') => model.order = model.order.next(),
        KeyCode::Char('c') | KeyCode::Tab | KeyCode::Right => model.next_core(),
        KeyCode::BackTab | KeyCode::Left => model.previous_core(),
        _ => {}
    }
    true
}

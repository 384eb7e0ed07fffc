use super::*;
use crate::provider::QrContent;

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn remote(text: &str, liveness: Liveness) -> RemoteSession {
    RemoteSession { id: id(text), name: text.to_owned(), liveness, phone: None }
}

fn qr() -> Qr {
    Qr { content: QrContent::Raw("2@a,b,c,d".to_owned()), pairing_code: None }
}

fn interest(text: &str) -> Interest {
    Interest { session: ObjectRef::new(text).within("ns"), id: Some(id(text)), settled: true, sweep_after: None }
}

fn board(ids: &[&str]) -> Board {
    let mut board = Board::default();
    for text in ids {
        board.want(text, interest(text));
    }
    board
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_settled_sweep_wakes_nobody() {
    let mut board = board(&["a", "b"]);
    let all = || vec![remote("a", Liveness::Connected), remote("b", Liveness::Connected)];
    assert_eq!(board.swept(all(), Instant::now(), None).0.len(), 2);
    tokio::time::advance(MINUTE).await;
    assert_eq!(board.swept(all(), Instant::now(), None), (vec![], true));
}

#[tokio::test(start_paused = true)]
async fn one_hint_is_a_status_read_and_two_share_a_sweep() {
    let mut board = board(&["a", "b"]);
    board.swept(vec![remote("a", Liveness::QrPending), remote("b", Liveness::QrPending)], Instant::now(), None);
    tokio::time::advance(Duration::from_secs(5)).await;
    board.hinted(Some(id("a")), Some(&Liveness::Connected));
    assert_eq!(board.next_read(Instant::now(), MINUTE), Ok(Read::Status(id("a"))));
    board.hinted(Some(id("b")), Some(&Liveness::Connected));
    assert_eq!(board.next_read(Instant::now(), MINUTE), Ok(Read::Sweep));
}

#[tokio::test(start_paused = true)]
async fn what_one_status_read_cannot_tell_a_sweep_tells() {
    let mut board = board(&["a"]);
    board.swept(vec![remote("a", Liveness::QrPending)], Instant::now(), None);
    tokio::time::advance(Duration::from_secs(5)).await;
    board.hinted(Some(id("a")), Some(&Liveness::Connected));
    board.read_failed(&Read::Status(id("a")), Instant::now());
    assert_eq!(board.next_read(Instant::now(), MINUTE), Err(Instant::now() + GATHER));
    assert_eq!(board.next_read(Instant::now() + GATHER, MINUTE), Ok(Read::Sweep));
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_says_nothing_new_is_free() {
    let mut board = board(&["a"]);
    board.swept(vec![remote("a", Liveness::Connected)], Instant::now(), None);
    board.hinted(Some(id("a")), Some(&Liveness::Connected));
    board.hinted(Some(id("other")), Some(&Liveness::Disconnected));
    assert_eq!(board.next_read(Instant::now(), MINUTE), Err(Instant::now() + MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_change_without_an_event_is_not_understood() {
    let start = Instant::now();
    // Up all the time; up only since after the first sweep; down.
    for (heard_since, understood) in [(Some(start), false), (Some(start + 2 * MINUTE), true), (None, true)] {
        let mut board = board(&["a"]);
        board.swept(vec![remote("a", Liveness::Connected)], start + MINUTE, heard_since);
        let second = board.swept(vec![remote("a", Liveness::Disconnected)], start + 3 * MINUTE, heard_since);
        assert_eq!((second.0.len(), second.1), (1, understood), "{heard_since:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_qr_of_another_session_is_not_kept() {
    let mut board = board(&["a"]);
    assert!(board.offered(Some(id("stranger")), qr()).is_empty());
    assert!(board.offer(&id("stranger")).is_none() && board.offer(&id("a")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_nameless_qr_is_ours_only_when_nobody_else_pairs() {
    for (others, ours) in [(vec![], true), (vec![remote("x", Liveness::QrPending)], false)] {
        let mut board = board(&["a"]);
        board.swept(vec![remote("a", Liveness::Disconnected)], Instant::now(), None);
        board.connecting(&id("a"));
        tokio::time::advance(GATHER).await;
        board.offered(None, qr());
        assert!(board.offer(&id("a")).is_none(), "not before a sweep");
        assert_eq!(board.next_read(Instant::now(), MINUTE), Ok(Read::Sweep));
        let mut list = others;
        list.push(remote("a", Liveness::QrPending));
        board.swept(list, Instant::now(), None);
        assert_eq!(board.offer(&id("a")).is_some(), ours);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_looked_before_it_said_what_it_wants_looks_again() {
    let mut board = Board::default();
    let woken = |(wakes, news): (Wakes, bool)| (wakes.len(), news);
    let waits = |after| Interest { sweep_after: Some(after), ..interest("a") };
    let start = Instant::now();
    assert_eq!(woken(board.want("a", waits(start))), (1, true), "nobody knew whom to tell before");
    assert_eq!(woken(board.want("a", waits(start))), (0, false));
    tokio::time::advance(GATHER).await;
    let later = Instant::now();
    board.swept(vec![], later, None);
    assert_eq!(woken(board.want("a", waits(later))), (1, true), "the sweep came before the wish");
    assert_eq!(woken(board.want("a", waits(later))), (0, false), "once");
    assert_eq!(woken(board.want("a", waits(later + MINUTE))), (0, true));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_came_during_a_status_read_is_kept() {
    let mut board = board(&["a"]);
    board.swept(vec![remote("a", Liveness::Connecting)], Instant::now(), None);
    let begun = Instant::now();
    tokio::time::advance(GATHER).await;
    board.offered(Some(id("a")), qr());
    assert_eq!(board.read(&id("a"), Some(remote("a", Liveness::Connecting)), begun).len(), 1);
    assert!(board.offer(&id("a")).is_some());
    assert_eq!(board.snapshot().unwrap().sessions[&id("a")].remote.liveness, Liveness::QrPending);
}

#[tokio::test(start_paused = true)]
async fn a_session_made_during_a_sweep_is_not_lost_by_it() {
    let mut board = board(&["a"]);
    board.swept(vec![], Instant::now(), None);
    let begun = Instant::now();
    tokio::time::advance(GATHER).await;
    board.created(remote("a", Liveness::Disconnected));
    board.swept(vec![], begun, None);
    assert!(board.snapshot().unwrap().sessions.contains_key(&id("a")));
    board.swept(vec![], Instant::now() + GATHER, None);
    assert!(!board.snapshot().unwrap().sessions.contains_key(&id("a")), "a later sweep tells");
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_during_a_sweep_beats_the_sweep() {
    let mut board = board(&["a"]);
    board.swept(vec![remote("a", Liveness::QrPending)], Instant::now(), None);
    let begun = Instant::now();
    tokio::time::advance(GATHER).await;
    board.read(&id("a"), Some(remote("a", Liveness::Connected)), Instant::now());
    board.swept(vec![remote("a", Liveness::QrPending)], begun, None);
    assert_eq!(board.snapshot().unwrap().sessions[&id("a")].remote.liveness, Liveness::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_comes_after_the_scan_is_a_hint_and_nothing_else() {
    let mut board = board(&["a"]);
    board.swept(vec![remote("a", Liveness::Connected)], Instant::now(), None);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(board.offered(Some(id("a")), qr()), []);
    assert_eq!(board.offer(&id("a")), None);
    assert_eq!(board.snapshot().unwrap().sessions[&id("a")].remote.liveness, Liveness::Connected);
    assert_eq!(board.next_read(Instant::now(), MINUTE), Ok(Read::Status(id("a"))));
}

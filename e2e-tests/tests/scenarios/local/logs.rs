//! Where nobody sits at a terminal, all that is printed is JSON, and nothing in it asks for somebody.

use crate::scenarios::harness::{Load, Local, is_calm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_some_work_and_a_stop_log_no_error() {
    let mut local = Local::start().await;
    let mut load = Load::prepare(&local.client, 5).await;
    let told = load.send(&local.client).end().await;
    load.note(told);
    load.all_have_their_outcome(&local.client).await;
    local.stop().await;
    is_calm("all services", &local.whole_log());
    local.start_again(&[]).await;
    local.finish().await;
}

//! Requests that may be sent again.

use brownie_persistence::{Claim, KeptAnswer, OrgTx, Repeatable, Store};
use harness::Founded;

use super::slug;

fn request(key: &str, fingerprint: u8) -> Repeatable {
    Repeatable {
        key: key.to_owned(),
        route: "POST /things".to_owned(),
        fingerprint: [fingerprint; 32],
    }
}

fn answer(body: &str) -> KeptAnswer {
    let headers = [("etag".to_owned(), "\"v1\"".to_owned())].into();
    KeptAnswer { status: 201, headers, body: body.as_bytes().to_vec() }
}

async fn claim(here: &Founded, request: Repeatable) -> Claim {
    let work = move |tx: OrgTx| {
        let request = request.clone();
        async move {
            let claim = tx.claim(&request).await?;
            if claim == Claim::New {
                tx.keep(&request, &answer("done")).await?;
            }
            Ok::<_, brownie_persistence::Error>(claim)
        }
    };
    here.store.write(&here.ctx, work).await.unwrap()
}

pub(crate) async fn an_answer_is_kept_with_what_it_answers(store: &Store) {
    let here = Founded::new(store, &slug("repeat")).await;
    assert_eq!(claim(&here, request("k", 1)).await, Claim::New);
    assert_eq!(claim(&here, request("k", 1)).await, Claim::Done(answer("done")));
    assert_eq!(claim(&here, request("k", 2)).await, Claim::Taken);
    let elsewhere = Founded::new(store, &slug("repeat")).await;
    assert_eq!(claim(&elsewhere, request("k", 1)).await, Claim::New);
}

pub(crate) async fn a_unit_that_is_given_up_leaves_its_key_free(store: &Store) {
    let here = Founded::new(store, &slug("repeat")).await;
    let tx = store.begin(&here.ctx).await.unwrap();
    assert_eq!(tx.claim(&request("k", 1)).await.unwrap(), Claim::New);
    tx.keep(&request("k", 1), &answer("never")).await.unwrap();
    drop(tx);
    assert_eq!(claim(&here, request("k", 2)).await, Claim::New);
}

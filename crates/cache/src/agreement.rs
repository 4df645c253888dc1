//! The scripts that Redis runs decide as the process does: a real Redis runs them, with a clock and a
//! store of the test's, beside the process on the same questions at the same times.

use std::time::Duration;

use brownie_test_servers::Redis;
use deadpool_redis::redis::{Client, Connection, cmd};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    delays::{Delays, Numbers},
    process::{AttemptKeys, Process},
    rule::Rule,
    scripts,
};

/// Stands in for what a script may call, and runs each step's script at that step's time.
const STAND_IN: &str = r"
    local clock, store, redis = 0, {}, {}
    local function live(key)
        return store[key] and store[key].ends > clock and store[key].text or false
    end
    function redis.call(name, key, text, option, millis)
        if name == 'TIME' then
            return {string.format('%.0f', math.floor(clock / 1000000)), tostring(clock % 1000000)}
        elseif name == 'GET' then
            return live(key)
        elseif name == 'EXISTS' then
            return live(key) and 1 or 0
        elseif name == 'DEL' then
            store[key] = nil
            if text then store[text] = nil end
        elseif name == 'SET' and option == 'PX' then
            store[key] = {text = text, ends = clock + millis * 1000}
        elseif name == 'SET' and option == 'KEEPTTL' then
            store[key].text = text
        else
            error('unexpected ' .. name)
        end
    end
    redis.pcall = redis.call
    local scripts = {function(KEYS, ARGV) LIMIT end, function(KEYS, ARGV) ATTEMPT end,
                     function(KEYS, ARGV) SUCCEED end}
    local answers = {}
    for i, step in ipairs(cjson.decode(ARGV[1])) do
        clock = step.at
        answers[i] = scripts[step.script](step.keys, step.args)
    end
    return cjson.encode(answers)";

/// Returns what Redis answers to the steps, each a script, its keys and its arguments, and a time.
fn answers_of_redis(connection: &mut Connection, steps: &[Value]) -> Value {
    let program = STAND_IN
        .replace("LIMIT", scripts::LIMIT)
        .replace("ATTEMPT", scripts::ATTEMPT)
        .replace("SUCCEED", scripts::SUCCEED);
    let mut eval = cmd("EVAL");
    eval.arg(program).arg(0).arg(Value::from(steps).to_string());
    let answers: String = eval.query(connection).unwrap();
    serde_json::from_str(&answers).unwrap()
}

/// Checks `check` on 300 inputs, with a Redis to compare with.
fn agree<S: Strategy>(
    inputs: &S,
    check: impl Fn(&mut Connection, S::Value) -> Result<(), TestCaseError>,
) {
    let redis = Redis::start().unwrap();
    let mut connection = Client::open(redis.url()).unwrap().get_connection().unwrap();
    let connection = std::cell::RefCell::new(&mut connection);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    runner.run(inputs, |input| check(&mut connection.borrow_mut(), input)).unwrap();
}

/// Microseconds since 1970, as Redis has them, so that the test would notice digits that are lost.
const NOW: u64 = 1_790_000_000_123_457;

#[test]
fn on_limits() {
    let rule = || {
        (0_u32..20, 1_u64..10_000_000, 0_u32..30).prop_map(|(limit, window, burst)| {
            Rule::per(limit, Duration::from_micros(window)).with_burst(burst)
        })
    };
    let steps = vec((0_u64..2_000_000, 0_u32..8, prop::bool::weighted(0.1)), 1..60);
    agree(&(rule(), rule(), steps), |connection, (rule, other, steps)| {
        let (process, mut now) = (Process::new(), NOW);
        let (mut questions, mut answers) = (Vec::new(), Vec::new());
        for (gap, cost, is_other) in steps {
            now += gap;
            // Somebody set another limit; what is owed by the old one stays.
            let rule = if is_other { other } else { rule };
            let decision = process.limit(now, "key", rule, cost);
            let owed = u64::try_from(decision.reset_after.as_micros()).unwrap();
            answers.push(json!([u8::from(decision.allowed), owed]));
            let args = [rule.interval(), rule.burst().into(), cost.into()].map(|n| n.to_string());
            questions.push(json!({"script": 1, "at": now, "keys": ["key"], "args": args}));
        }
        prop_assert_eq!(answers_of_redis(connection, &questions), Value::from(answers));
        Ok(())
    });
}

#[test]
fn on_log_ins() {
    let delays = || (0_u32..4, 0_u64..50, 0_u64..2_000, 0_u64..2_000);
    let steps = vec((0_u64..1_500_000, 0_u8..3, 0_u8..3, any::<bool>()), 1..60);
    agree(&(delays(), delays(), steps), |connection, (account, address, steps)| {
        let numbers = |(free, first, longest, forgotten): (u32, u64, u64, u64)| {
            let [first, longest, forgotten] =
                [first, longest, forgotten].map(Duration::from_millis);
            Delays { free, first, longest, forgotten }.numbers()
        };
        let (account, address) = (numbers(account), numbers(address));
        let (process, mut now) = (Process::new(), NOW);
        let (mut questions, mut answers) = (Vec::new(), Vec::new());
        for (gap, who, from, succeeds) in steps {
            now += gap;
            let keys = AttemptKeys {
                account: format!("to {who}"),
                address: format!("from {from}"),
                pair: format!("{who} {from}"),
                known: format!("known {who} {from}"),
            };
            let names = [&keys.account, &keys.address, &keys.pair, &keys.known];
            let args = [account, address].map(|numbers| {
                let Numbers { free, first, longest, forgotten, most } = numbers;
                [free, first, longest, forgotten, most].map(|n| n.to_string())
            });
            questions.push(json!({"script": 2, "at": now, "keys": names, "args": args.concat()}));
            let wait = process.attempt(now, &keys, &account, &address);
            answers.push(json!(wait));
            if succeeds && wait == 0 {
                let args = [address.forgotten, 60_000].map(|n| n.to_string());
                questions.push(json!({"script": 3, "at": now, "keys": names, "args": args}));
                process.succeed(now, &keys, &address, Duration::from_mins(1));
                answers.push(json!(0));
            }
        }
        prop_assert_eq!(answers_of_redis(connection, &questions), Value::from(answers));
        Ok(())
    });
}

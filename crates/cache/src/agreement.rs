//! The scripts that Redis runs decide as the process does: a real Redis runs them, with a clock and a
//! store of the test's, beside the process on the same questions at the same times.

use std::time::Duration;

use brownie_test_servers::Redis;
use deadpool_redis::redis::{Client, Connection, cmd};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{process::Process, rule::Rule, scripts};

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
        elseif name == 'DEL' then
            store[key] = nil
        elseif name == 'SET' and option == 'PX' then
            store[key] = {text = text, ends = clock + millis * 1000}
        else
            error('unexpected ' .. name)
        end
    end
    redis.pcall = redis.call
    local function script(KEYS, ARGV) LIMIT end
    local answers = {}
    for i, step in ipairs(cjson.decode(ARGV[1])) do
        clock = step.at
        answers[i] = script(step.keys, step.args)
    end
    return cjson.encode(answers)";

/// Returns what Redis answers to the steps, each a time, keys and arguments.
fn answers_of_redis(connection: &mut Connection, steps: &[Value]) -> Value {
    let program = STAND_IN.replace("LIMIT", scripts::LIMIT);
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
    let steps = vec((0_u64..2_000_000, -3_i64..8, prop::bool::weighted(0.1)), 1..60);
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
            let args = [rule.interval().to_string(), rule.burst().to_string(), cost.to_string()];
            questions.push(json!({"at": now, "keys": ["key"], "args": args}));
        }
        prop_assert_eq!(answers_of_redis(connection, &questions), Value::from(answers));
        Ok(())
    });
}

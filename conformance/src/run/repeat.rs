//! The same cases several times, each time with another seed.

use super::{Outcome, Verdict};

/// The seed of a round: the first has the one that was given.
pub(super) fn seed(given: u64, round: u32) -> u64 {
    if round == 0 {
        return given;
    }
    // SplitMix64, so that neighbours have nothing in common.
    let mut z = given.wrapping_add(u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One outcome of all those of a case. One that passes and does not pass is flaky, and fails.
pub(super) fn together(rounds: Vec<Outcome>) -> Option<Outcome> {
    let runs = u32::try_from(rounds.len()).unwrap_or(u32::MAX);
    let passed = rounds.iter().filter(|outcome| outcome.verdict == Verdict::Pass).count();
    let same = rounds.iter().all(|outcome| outcome.verdict == rounds[0].verdict);
    let millis = rounds.iter().map(|outcome| outcome.millis).sum();
    let shown = rounds
        .into_iter()
        .reduce(|shown, next| if shown.verdict == Verdict::Pass { next } else { shown })?;
    let mut outcome = Outcome { runs, millis, flaky: !same, ..shown };
    if !same {
        outcome.verdict = Verdict::Fail;
        let why = outcome.why.take().unwrap_or_default();
        let seed = outcome.seed;
        outcome.why =
            Some(format!("flaky: {passed} of {runs} runs passed; with the seed {seed}: {why}"));
    }
    Some(outcome)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{seed, together};
    use crate::run::verdict::sample;
    use crate::run::{Outcome, Verdict};

    fn of(verdict: Verdict, seed: u64) -> Outcome {
        Outcome { verdict, seed, why: Some("late".to_owned()), ..sample("a/b") }
    }

    #[test]
    fn each_round_has_a_seed_of_its_own() {
        assert_eq!(seed(7, 0), 7);
        let seeds: BTreeSet<u64> = (0..1000).map(|round| seed(7, round)).collect();
        assert_eq!(seeds.len(), 1000);
        assert_eq!(seed(7, 3), seed(7, 3));
    }

    #[test]
    fn a_case_that_passes_and_fails_is_flaky_and_fails() {
        use Verdict::{Fail, NotApplicable, Pass, Warn};
        let cases: [(&[Verdict], Verdict, bool); 5] = [
            (&[Pass, Pass], Pass, false),
            (&[Pass, Fail, Pass], Fail, true),
            (&[Warn, Pass], Fail, true),
            (&[Warn, Warn], Warn, false),
            (&[NotApplicable, NotApplicable], NotApplicable, false),
        ];
        for (verdicts, verdict, flaky) in cases {
            let rounds = (1..).zip(verdicts).map(|(seed, verdict)| of(*verdict, seed)).collect();
            let outcome = together(rounds).unwrap();
            assert_eq!((outcome.verdict, outcome.flaky), (verdict, flaky), "{verdicts:?}");
        }
        let flaky = together(vec![of(Pass, 1), of(Fail, 2), of(Pass, 3)]).unwrap();
        let why = flaky.why.as_deref();
        assert_eq!(why, Some("flaky: 2 of 3 runs passed; with the seed 2: late"));
        assert_eq!(together(Vec::new()), None);
    }
}

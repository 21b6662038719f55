import type { CheckReport } from './check.ts';
import type { Finding, Verdict } from './finding.ts';

const WORDS: Readonly<Record<Verdict, string>> = { pass: 'pass', advice: 'ADVICE', fail: 'FAIL', skip: '-' };
const STEP_COLUMN = 15;
const VERDICT_COLUMN = 8;
const RESULTS: Readonly<Record<CheckReport['result'], string>> = {
  pass: 'PASS',
  fail: 'FAIL',
  incomplete: 'INCOMPLETE: the bot hung up before all was tried',
};

/** Writes findings as rows of one table; advice has a line of its own, once. */
export function table(): (finding: Finding) => string {
  const given = new Set<string>();
  return (finding) => {
    const isNew = finding.advice !== undefined && !given.has(finding.advice);
    if (isNew) given.add(finding.advice);
    return row(finding, isNew);
  };
}

function row({ step, verdict, detail, advice }: Finding, hasAdvice: boolean): string {
  const head = `${step.padEnd(STEP_COLUMN)}${WORDS[verdict].padEnd(VERDICT_COLUMN)}`;
  const line = `${head}${detail}`;
  return !hasAdvice ? line : `${line}\n${' '.repeat(head.length)}→ ${advice}`;
}

/** The last line: the result, and how many of each. */
export function summary({ result, findings }: CheckReport): string {
  const count = (verdict: Verdict) => findings.filter((found) => found.verdict === verdict).length;
  return `${RESULTS[result]} (${count('pass')} passed, ${count('advice')} advised, ${count('fail')} failed, ${count('skip')} not tried)`;
}

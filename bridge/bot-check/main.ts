/** Plays a caller against a bot and prints what passed: `make bot-check`. */
import { checkBot } from './check.ts';
import { parseOptions, USAGE } from './options.ts';
import { checkPlan } from './plan.ts';
import { summary, table } from './report.ts';

const EXIT_CODES = { pass: 0, fail: 1, incomplete: 3 } as const;
const WRONG_OPTIONS = 2;

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  const options = parseOptions(args);
  const plan = checkPlan(options, process.env.AUTHORIZATION || undefined);
  const { url, dialect, encoding, framing } = options;
  if (!options.json)
    console.log(`calling ${url} (${dialect}, ${encoding} at ${options['sample-rate']} Hz, ${framing}) …`);
  const toRow = table();
  const report = await checkBot(plan, (found) => {
    if (!options.json) console.log(toRow(found));
  });
  console.log(options.json ? JSON.stringify({ url, dialect, ...report }, null, 2) : summary(report));
  return EXIT_CODES[report.result];
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`bot-check: ${(error as Error).message}`);
  process.exitCode = WRONG_OPTIONS;
}

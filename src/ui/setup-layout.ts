// The frame of the page and its looks: one inline style, dark or light as the system has it, usable by keyboard and
// screen reader. Pure.

export const style = `
:root {
  color-scheme: light dark;
  --back: #f6f7f9; --card: #ffffff; --text: #1b2430; --soft: #52606f; --line: #8793a1;
  --main: #0b5cad; --on-main: #ffffff; --bad: #9b1c1c; --bad-back: #fdecec; --warn: #6b4e00; --warn-back: #fff4d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #10151c; --card: #1a212b; --text: #e8edf3; --soft: #a9b5c3; --line: #6b7887;
    --main: #7db8ff; --on-main: #0b1622; --bad: #ffb4b4; --bad-back: #3a1a1d; --warn: #ffd98a; --warn-back: #33290f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 40rem; margin: 0 auto; padding: 1.75rem 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
.brand { max-width: 40rem; margin: 0 auto 1rem; color: var(--soft); font-weight: 600; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 1.5rem 0 .5rem; font-size: 1.1rem; }
p { margin: .6rem 0; }
label { display: block; margin-top: 1.25rem; font-weight: 600; }
.hint { color: var(--soft); font-size: .9rem; }
label + .hint { margin-top: .15rem; }
textarea { display: block; width: 100%; padding: .6rem .7rem; color: inherit; background: var(--back);
  border: 1px solid var(--line); border-radius: .35rem; font: .9rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; resize: vertical; }
textarea[aria-invalid] { border-color: var(--bad); border-width: 2px; }
button, .button { display: inline-block; max-width: 100%; margin: 1rem .75rem .5rem 0; padding: .6rem 1.1rem; border-radius: .35rem;
  border: 1px solid var(--main); background: var(--main); color: var(--on-main); font: inherit; font-weight: 600;
  cursor: pointer; text-decoration: none; }
.button { background: transparent; color: var(--main); }
h1:focus { outline: none; }
:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
.alert, .warning { padding: .7rem .9rem; border-radius: .35rem; border-left: 4px solid; overflow-wrap: anywhere; }
.alert { color: var(--bad); background: var(--bad-back); }
.warning { color: var(--warn); background: var(--warn-back); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.25rem; margin: 1.25rem 0; }
dt { color: var(--soft); }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
li { margin: .35rem 0; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; }
@media (max-width: 30rem) {
  body { padding: .75rem .5rem; }
  main { padding: 1.25rem; }
  dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { margin-bottom: .6rem; }
}
@media (forced-colors: active) { .alert, .warning { border: 1px solid; } }
`;

export function layout(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · Flotilla</title>
<style>${style}</style>
</head>
<body>
<p class="brand">Flotilla Edge agent</p>
<main>
${body}
</main>
</body>
</html>
`;
}

/** For text and for attributes in double quotes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

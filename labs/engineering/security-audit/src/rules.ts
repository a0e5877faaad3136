import type { CallExpression, NewExpression, Node } from 'oxc-parser';
import { analyse } from 'scslre';
import { type Confidence, type Rule, suppressionRules } from './finding.ts';
import type { Flows, Sink, Taint } from './flow.ts';
import { isFunction, keyOf, type Project, textOf, unwrap } from './project.ts';
import { isSecretFor, knownSecret, wordsOf } from './secrets.ts';

/** What is looked for. `confidence` is that of a stranger's words at the sink; less is known, less is claimed. */
export const rules = [
  {
    id: 'code-injection',
    title: 'Text is run as code',
    severity: 'high',
    confidence: 'high',
    why: 'eval and its kin run whatever the text says, with all that this process may do',
    fix: 'read data with JSON.parse, and choose among functions with a Map',
  },
  {
    id: 'command-injection',
    title: 'Text is run by a shell',
    severity: 'high',
    confidence: 'high',
    why: 'a shell runs each command that it finds in its line: "8.8.8.8; rm -rf /" is two',
    fix: "execFile(program, [argument]) without a shell; '--' before what could look like an option",
  },
  {
    id: 'sql-injection',
    title: 'SQL made of pieces',
    severity: 'high',
    confidence: 'high',
    why: "a name such as ' OR '1'='1 changes what the statement asks",
    fix: 'parameters: query("… WHERE name = $1", [name])',
  },
  {
    id: 'hard-coded-secret',
    title: 'A secret in the code',
    severity: 'high',
    confidence: 'medium',
    why: 'everybody who can read the code, its history or its bundle has it, for ever',
    fix: 'take it from the environment or a secret store, and change this one: it is known',
  },
  {
    id: 'weak-random',
    title: 'Math.random makes a secret',
    severity: 'high',
    confidence: 'medium',
    why: 'a few outputs of Math.random tell all that follow',
    fix: 'randomUUID, randomBytes or randomInt of node:crypto',
  },
  {
    id: 'weak-hash',
    title: 'MD5 or SHA-1',
    severity: 'medium',
    confidence: 'high',
    why: 'two texts of one hash can be made; as a store of passwords it is tried billions of times a second',
    fix: "createHash('sha256'); for passwords scrypt or argon2",
  },
  {
    id: 'tls-off',
    title: 'TLS without a check of the certificate',
    severity: 'high',
    confidence: 'high',
    why: 'whoever stands between reads and changes all of it',
    fix: 'give the certificate of your own authority as `ca`',
  },
  {
    id: 'path-traversal',
    title: 'A stranger chooses the file',
    severity: 'high',
    confidence: 'high',
    why: '../../etc/passwd is a path too',
    fix: 'basename, or resolve it and refuse what does not start with the folder and a separator',
  },
  {
    id: 'redos',
    title: 'A pattern that takes exponential time',
    severity: 'medium',
    confidence: 'high',
    why: 'a line of thirty letters stops the event loop for minutes',
    fix: 'no repetition inside a repetition over the same letters; escape what comes from outside',
  },
  {
    id: 'unsafe-html',
    title: 'Text becomes HTML',
    severity: 'high',
    confidence: 'high',
    why: 'a <script> or an onerror in it runs as the user who looks at it',
    fix: 'textContent, or DOMPurify.sanitize where it must be HTML',
  },
  {
    id: 'unsafe-deserialisation',
    title: 'Data that can carry code is read',
    severity: 'high',
    confidence: 'high',
    why: 'such a format names functions, and reading it calls them',
    fix: 'JSON.parse and a schema',
  },
  {
    id: 'syntax-error',
    title: 'A file that cannot be parsed',
    severity: 'high',
    confidence: 'high',
    why: 'nothing in it was looked at',
    fix: 'mend it, or leave it out by name',
  },
  {
    id: 'unread',
    title: 'A file that was not looked at',
    severity: 'medium',
    confidence: 'high',
    why: 'it is too large, too deep, binary or unreadable: whatever is in it was not seen',
    fix: 'scan what it was made from, and leave it out by name',
  },
  ...suppressionRules,
] as const satisfies readonly Rule[];

export type RuleId = (typeof rules)[number]['id'];

export type Report = (rule: RuleId, node: Node, message: string, confidence?: Confidence) => void;

/** Calls whose argument at `index` must not be a stranger's. `strict`: nor an operator's, nor what the code does not say. */
const sinks: readonly {
  readonly of: RegExp;
  readonly rule: RuleId;
  readonly sink: Sink;
  readonly index?: number;
  readonly strict?: true;
}[] = [
  {
    of: /^(?:eval|vm\.(?:runIn\w*Context|Script|compileFunction))$/,
    rule: 'code-injection',
    sink: 'code',
    strict: true,
  },
  { of: /^(?:set(?:Timeout|Interval)|require)$/, rule: 'code-injection', sink: 'code' },
  {
    of: /^(?:child_process\.exec(?:Sync)?|execa\.execaCommand|shelljs\.exec)$/,
    rule: 'command-injection',
    sink: 'shell',
    strict: true,
  },
  { of: /^child_process\.(?:spawn|execFile)(?:Sync)?$/, rule: 'command-injection', sink: 'shell' },
  {
    of: /^(?:fs(?:\/promises|\.promises)?|fs-extra)\.(?:read\w*|write\w*|append\w*|create\w+Stream|open\w*|unlink\w*|rm\w*|cp\w*|copy\w*|stat\w*|mkdir\w*|rename\w*)$/,
    rule: 'path-traversal',
    sink: 'path',
  },
  {
    of: /^(?:fs(?:\/promises|\.promises)?|fs-extra)\.(?:cp\w*|copy\w*|rename\w*)$/,
    rule: 'path-traversal',
    sink: 'path',
    index: 1,
  },
  { of: /(?:^|[.?])res(?:ponse)?\.(?:sendFile|download)$/, rule: 'path-traversal', sink: 'path' },
  { of: /(?:^|[.?])document\.write(?:ln)?$/, rule: 'unsafe-html', sink: 'html', strict: true },
  { of: /(?:^|[.?])res(?:ponse)?\.(?:send|end|write)$/, rule: 'unsafe-html', sink: 'html' },
  { of: /\.insertAdjacentHTML$/, rule: 'unsafe-html', sink: 'html', index: 1, strict: true },
  {
    of: /^(?:node-serialize|serialize-to-js|funcster|cryo)\.(?:unserialize|deserialize|deepDeserialize|parse)$/,
    rule: 'unsafe-deserialisation',
    sink: 'data',
    strict: true,
  },
  { of: /^v8\.deserialize$/, rule: 'unsafe-deserialisation', sink: 'data' },
  { of: /^RegExp$/, rule: 'redos', sink: 'pattern' },
];

const sql =
  /^\s*(?:SELECT\s[^;]{1,2000}?\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|(?:DROP|ALTER|CREATE)\s+(?:TABLE|DATABASE|USER|VIEW|INDEX)\s|select\s[^;]{1,2000}?\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s)/;
const secretWords = /^(?:token|password|passwd|secret|key|otp|pin|nonce|salt|session|sid|csrf|code|captcha|uuid)$/;

/** What `apply` is given. */
function listed(list: Node): readonly Node[] {
  return list.type === 'ArrayExpression' ? list.elements.filter((each) => each !== null) : [list];
}

/** Looks at each node of a scan, by its rules. */
export class Inspector {
  readonly #project: Project;
  readonly #flows: Flows;
  readonly #report: Report;

  constructor(project: Project, flows: Flows, report: Report) {
    this.#project = project;
    this.#flows = flows;
    this.#report = report;
  }

  look(node: Node): void {
    switch (node.type) {
      case 'CallExpression':
      case 'NewExpression':
        this.#call(node);
        break;
      case 'BinaryExpression':
      case 'TemplateLiteral':
        this.#sql(node);
        if (node.type === 'TemplateLiteral') this.#secret(node, node.quasis.map(({ value }) => value.cooked).join('x'));
        break;
      case 'AssignmentExpression':
        if (node.operator === '+=') this.#sql(node);
        this.#given(node.left, node.right);
        break;
      case 'VariableDeclarator':
        if (node.init) this.#given(node.id, node.init);
        break;
      case 'Property':
      case 'PropertyDefinition':
        if (node.value) this.#given(node.key, node.value, node.computed);
        break;
      case 'AssignmentPattern':
        this.#given(node.left, node.right);
        break;
      case 'JSXAttribute':
        if (node.value) this.#given(node.name, node.value);
        break;
      case 'ImportExpression':
        this.#sink('code-injection', node, node.source, 'code', 'import');
        break;
      case 'Literal':
        this.#literal(node);
        break;
    }
  }

  #call(node: CallExpression | NewExpression): void {
    const callee = unwrap(node.callee);
    const meaning = this.#project.meaning(callee);
    const method = callee.type === 'MemberExpression' ? `.${keyOf(callee.property, callee.computed)}` : '';
    const called = (typeof meaning === 'string' ? meaning : method).replace(/^(?:globalThis|window|self|global)\./, '');
    const [, name = '', how] = /^(.*?)(?:\.(call|apply))?$/.exec(called) ?? [];
    const [, list] = node.arguments;
    const args: readonly Node[] =
      how === 'call' ? node.arguments.slice(1) : how !== 'apply' || !list ? node.arguments : listed(list);
    const [first, second] = args;
    for (const { of, rule, sink, index = 0, strict } of sinks) {
      const argument = args[index];
      if (!argument || !of.test(name)) continue;
      // It is sent as JSON.
      if (/\.send$/.test(name) && /^(?:Object|Array)Expression$/.test(unwrap(argument).type)) continue;
      // What isn't marked up as HTML is rarely sent as such by `end` and `write`.
      if (
        /res(?:ponse)?\.(?:end|write)$/.test(name) &&
        !this.#parts(argument).some((part) => String(part).includes('<'))
      )
        continue;
      this.#sink(rule, node, argument, sink, name, strict);
    }
    if (name === 'Function') {
      for (const argument of args) this.#sink('code-injection', node, argument, 'code', name, true);
    }
    if (/^child_process\.(?:spawn|execFile)(?:Sync)?$/.test(name) && first) this.#process(node, first, name);
    if (
      /^crypto\.(?:createHash|hash)$/.test(name) &&
      first &&
      /^(?:md[245]|sha-?1|rsa-(?:md5|sha1)|ripemd\w*)$/i.test(this.#text(first) ?? '')
    ) {
      this.#report('weak-hash', node, `${this.#text(first)} is broken`);
    }
    if (name === 'Math.random') this.#random(node);
    if (name === 'RegExp' && first) this.#pattern(node, this.#text(first), second && this.#text(second));
  }

  /** `spawn` with a shell, and a shell by name: `spawn('sh', ['-c', line])`. */
  #process(node: CallExpression | NewExpression, first: Node, name: string): void {
    const options = node.arguments.map(unwrap).find(({ type }) => type === 'ObjectExpression');
    const shell =
      options?.type === 'ObjectExpression' &&
      options.properties.some(
        (each) =>
          each.type === 'Property' &&
          keyOf(each.key, each.computed) === 'shell' &&
          !(each.value.type === 'Literal' && !each.value.value),
      );
    if (!shell && !/(?:^|[/\\])(?:ba|z|da)?sh$|^(?:cmd|powershell)(?:\.exe)?$/.test(this.#text(first) ?? '')) return;
    for (const argument of node.arguments) {
      if (argument !== options) this.#sink('command-injection', node, argument, 'shell', name, true);
    }
  }

  #sink(rule: RuleId, at: Node, argument: Node, sink: Sink, name: string, strict?: boolean): void {
    const flow = this.#flows.of(argument, sink);
    // Who starts the process chooses its files anyway.
    if (flow.kind === 'tainted' && (strict || flow.from === 'remote')) {
      this.#report(rule, at, this.#story(flow, name), flow.from === 'remote' ? 'high' : 'medium');
    }
    if (flow.kind === 'unknown' && strict) this.#report(rule, at, `${name} gets what the code does not say`, 'low');
  }

  /** How the words came here: `req.query.host (app.ts:3) → host → command reaches exec`. */
  #story({ source, through }: Taint, name: string): string {
    const meaning = this.#project.meaning(source);
    const origin = typeof meaning === 'string' ? meaning.replace('?', '') : 'input';
    const home = this.#project.moduleOf(source);
    const place = `${home?.file}:${home?.position(source.start).line}`;
    return `${[`${origin} (${place})`, ...through].join(' → ')} reaches ${name.replace('?', '')}`;
  }

  #sql(node: Node): void {
    const parent = this.#project.parent(node);
    if (parent?.type === 'TaggedTemplateExpression') return;
    if (parent?.type === 'BinaryExpression' && parent.operator === '+') return;
    if (parent?.type === 'AssignmentExpression' && parent.operator === '+=') return;
    const parts = this.#parts(node);
    const [head] = parts;
    const texts = parts.map((part) => (typeof part === 'string' ? part : ' ? ')).join('');
    if (typeof head !== 'string' || !sql.test(texts)) return;
    let unsure: Confidence | undefined;
    for (const [index, part] of parts.entries()) {
      const before = parts[index - 1];
      // $1, $2: the number of a parameter.
      if (typeof part === 'string' || (typeof before === 'string' && before.endsWith('$'))) continue;
      const flow = this.#flows.of(part, 'sql');
      if (flow.kind === 'tainted') {
        this.#report(
          'sql-injection',
          node,
          this.#story(flow, 'a statement'),
          flow.from === 'remote' ? 'high' : 'medium',
        );
        return;
      }
      if (flow.kind !== 'unknown') continue;
      // In the place of a value; in that of a table or a column it is often a name of our own.
      const value = typeof before === 'string' && /(?:'%?|[=<>]\s*)$/.test(before);
      unsure = value ? 'medium' : (unsure ?? 'low');
    }
    if (unsure) this.#report('sql-injection', node, 'a statement is put together from pieces', unsure);
  }

  /** A text in its pieces: what is known of them, and what isn't. A chain of additions is followed without recursion. */
  #parts(whole: Node): (string | Node)[] {
    const parts: (string | Node)[] = [];
    const stack = [whole];
    for (let node = stack.pop(); node !== undefined && parts.length < 10_000; node = stack.pop()) {
      const text = this.#text(node) ?? (parts.length === 0 ? this.#first(node) : undefined);
      if (text !== undefined) parts.push(text);
      else if (node.type === 'BinaryExpression' && node.operator === '+') stack.push(node.right, node.left);
      else if (node.type === 'AssignmentExpression') {
        parts.push(this.#first(node.left) ?? node.left);
        stack.push(node.right);
      } else if (node.type === 'TemplateLiteral') {
        for (const [index, quasi] of node.quasis.entries()) {
          parts.push(quasi.value.cooked ?? '');
          const expression = node.expressions[index];
          if (expression) parts.push(this.#text(expression) ?? expression);
        }
      } else parts.push(node);
    }
    return parts;
  }

  /** What a variable that grows began with. */
  #first(node: Node): string | undefined {
    const binding = node.type === 'Identifier' ? this.#project.lookup(node, node.name) : undefined;
    const [value] = binding?.values ?? [];
    return value && value.path.length === 0 ? this.#text(value.expr) : undefined;
  }

  /** What the text certainly is. */
  #text(node: Node): string | undefined {
    if (node.type === 'Identifier' && (this.#project.lookup(node, node.name)?.values.length ?? 0) > 1) return undefined;
    const meaning = this.#project.meaning(node);
    return typeof meaning === 'object' ? textOf(meaning) : undefined;
  }

  /** A name, and what it is given. */
  #given(target: Node, value: Node, computed = false): void {
    const name = target.type === 'MemberExpression' ? keyOf(target.property, target.computed) : keyOf(target, computed);
    if (name === undefined) return;
    let given = unwrap(value);
    // `process.env.PASSWORD ?? 'hunter2'`
    if (given.type === 'LogicalExpression') given = unwrap(given.right);
    const text = textOf(given);
    if (text !== undefined && knownSecret(text) === undefined && isSecretFor(name, text)) {
      // Letters alone are often a label, a path or a sentence.
      const label = /^[/#.]?\p{L}+(?:[-_./: ]\p{L}+)*$/u.test(text);
      this.#report('hard-coded-secret', value, `${name} is written in the code`, label ? 'low' : undefined);
    }
    if (/^(?:rejectUnauthorized|strictSSL)$/.test(name) && this.#isFalse(value)) {
      this.#report('tls-off', value, `${name} is false`);
    }
    if (name === 'NODE_TLS_REJECT_UNAUTHORIZED' && (this.#text(value) === '0' || this.#isFalse(value)))
      this.#report('tls-off', value, `${name} is 0, for the whole process`);
    const html =
      target.type === 'MemberExpression'
        ? /^(?:inner|outer)HTML$|^srcdoc$/.test(name)
        : /^(?:__html|srcDoc)$/.test(name);
    if (html) this.#sink('unsafe-html', target, value, 'html', name, true);
  }

  #literal(node: Extract<Node, { type: 'Literal' }>): void {
    if ('regex' in node) this.#pattern(node, node.regex.pattern, node.regex.flags);
    if (typeof node.value === 'string') this.#secret(node, node.value);
  }

  /** `false`, `0`, and the `!1` of a bundle. */
  #isFalse(node: Node): boolean {
    const meaning = this.#project.meaning(node);
    if (typeof meaning !== 'object') return false;
    if (meaning.type === 'UnaryExpression')
      return meaning.operator === '!' && meaning.argument.type === 'Literal' && meaning.argument.value === 1;
    return meaning.type === 'Literal' && (meaning.value === false || meaning.value === 0);
  }

  #secret(node: Node, text: string): void {
    const secret = knownSecret(text);
    if (secret) this.#report('hard-coded-secret', node, `${secret} is written in the code`, 'high');
  }

  #pattern(node: Node, source: string | undefined, flags = ''): void {
    // Longer ones take the analysis too long.
    if (source === undefined || source.length > 1_000 || !/[*+{]/.test(source)) return;
    try {
      const { reports } = analyse({ source, flags }, { reportTypes: { Move: false } });
      if (reports.some(({ exponential }) => exponential))
        this.#report('redos', node, 'this pattern takes exponential time');
    } catch {
      // It's no pattern, or one of a newer language than the analysis knows.
    }
  }

  /** Whether the number ends in a name that has to be a secret. */
  #random(node: Node): void {
    for (let at = this.#project.parent(node); at !== undefined; at = this.#project.parent(at)) {
      const named =
        'id' in at
          ? at.id
          : at.type === 'AssignmentExpression'
            ? at.left
            : at.type === 'Property' || at.type === 'PropertyDefinition' || at.type === 'MethodDefinition'
              ? at.key
              : undefined;
      const name =
        named?.type === 'MemberExpression'
          ? keyOf(named.property, named.computed)
          : named
            ? keyOf(named, false)
            : undefined;
      if (name === undefined) continue;
      const last = wordsOf(name).at(-1) ?? '';
      if (secretWords.test(last)) this.#report('weak-random', node, `${name} can be guessed`);
      // The first name is what the number is for; a function's is what it makes.
      if (secretWords.test(last) || at.type !== 'VariableDeclarator' || !this.#project.around(at, isFunction)) return;
    }
  }
}

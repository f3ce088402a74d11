"""The JavaScript around an expression: what it sees besides its variables, and how its value comes out.

Only JSON text crosses between the engine and Python: other strings lose what follows a NUL and cannot hold lone
surrogates. Imports nothing, since the child processes start with it.
"""

_RUN = """
((stringify, text, run) => {
  const described = error => {
    try {
      return error !== null && typeof error === 'object' && !(error instanceof Error)
        ? stringify(error) ?? text(error) : text(error);
    } catch { return 'an error that cannot be shown'; }
  };
  const failure = error => '-' + stringify(described(error));
  const success = value => {
    try { return '+' + (stringify(value) ?? 'null'); } catch (error) { return failure(error); }
  };
  try {
    const value = run();
    if (value === null || typeof value !== 'object' || typeof value.then !== 'function') return success(value);
    let outcome;
    Promise.resolve(value).then(settled => { outcome = success(settled); }, error => { outcome = failure(error); });
    return () => outcome;
  } catch (error) { return failure(error); }
})(JSON.stringify, String,
"""

LOOKUPS = """
(ask => {
  const stringify = JSON.stringify, Failure = Error, own = Object.hasOwn;
  const fetched = (kind, name) => {
    const answer = ask(kind, stringify(name));
    if (own(answer, 'refused')) throw new Failure(answer.refused);
    return answer.given;
  };
  const member = kind => (seen, name) => {
    if (typeof name === 'symbol' || name === 'then' || name === 'toJSON') return undefined;
    if (!own(seen, name)) seen[name] = fetched(kind, name);
    return seen[name];
  };
  const lazy = kind => new Proxy(Object.create(null), {
    get: member(kind),
    has: (seen, name) => (member(kind)(seen, name) ?? null) !== null,
  });
  globalThis.results = lazy('results');
  globalThis.flow_env = lazy('flow_env');
  globalThis.variable = path => fetched('variable', `${path}`);
  globalThis.resource = path => fetched('resource', `${path}`);
  globalThis.flow_user_state = key => fetched('flow_user_state', `${key}`);
})
"""
"""A function that takes the callback (kind, name as JSON) -> {"given"} or {"refused"} and defines what is looked up."""

_RUN_LINE = " ".join(_RUN.split("\n")).strip()


def program_of(function: str, *, settles: bool) -> str:
    """A program that calls `function`; its text keeps its line numbers.

    Gives the value in an array, whose JSON needs no more JavaScript. When the function `settles` something, a promise
    or an error of its own making, it gives `+JSON` or `-"message"` instead, or a function that gives it later: for
    promises, undefined while they are not settled. Reading that program costs as much as a fresh engine does.
    """
    return f"{_RUN_LINE} {function})" if settles else f"[({function})()]"

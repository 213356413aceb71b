// openai_client.js CLIENT URL MODEL: what test_node.py asks of the official OpenAI client for Node. Ends with 0 when all
// answers are as they should be, else with the first that is not.
'use strict';
const assert = require('node:assert/strict');
const [folder, url, model] = process.argv.slice(2);
const OpenAI = require(folder);

const c = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0 });
const ask = [{ role: 'user', content: 'Name the capital of France in one word.' }];
const greedy = { model, temperature: 0, max_tokens: 24 };
const parameters = {
  type: 'object', additionalProperties: false, required: ['city'], properties: { city: { type: 'string', maxLength: 20 } },
};
const weather = { name: 'get_weather', description: 'The weather of a city.', parameters };
const person = {
  type: 'object', additionalProperties: false, required: ['age', 'adult'],
  properties: { age: { type: 'integer', minimum: 0, maximum: 120 }, adult: { type: 'boolean' } },
};

async function collect(stream) {
  const list = [];
  for await (const piece of stream) list.push(piece);
  return list;
}

async function refused(promise, kind, ...words) {
  const e = await promise.then(() => assert.fail('expected ' + kind.name), (x) => x);
  assert.ok(e instanceof kind, String(e));
  for (const word of words) assert.ok(e.message.includes(word), `${word}: ${e.message}`);
  return e;
}

async function models() {
  const ids = [];
  for await (const m of c.models.list()) ids.push(m.id);
  assert.ok(ids.includes(model));
  assert.equal((await c.models.retrieve(model)).id, model);
}

async function chat() {
  const whole = await c.chat.completions.create({ ...greedy, messages: ask });
  const text = whole.choices[0].message.content;
  assert.ok(text && whole.usage.total_tokens === whole.usage.prompt_tokens + whole.usage.completion_tokens);
  const more = { stream: true, stream_options: { include_usage: true } };
  const chunks = await collect(await c.chat.completions.create({ ...greedy, messages: ask, ...more }));
  assert.equal(chunks.map((k) => k.choices[0]?.delta.content ?? '').join(''), text);
  assert.equal(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
  const helper = c.chat.completions.stream({ ...greedy, messages: ask });
  let heard = '';
  helper.on('content', (delta) => { heard += delta; });
  assert.equal((await helper.finalChatCompletion()).choices[0].message.content, text);
  assert.equal(heard, text);
  const several = await c.chat.completions.create({ ...greedy, messages: ask, n: 2, temperature: 1.5, seed: 4 });
  assert.deepEqual(several.choices.map((k) => k.index), [0, 1]);
}

async function tools() {
  const asked = {
    ...greedy, max_tokens: 120, messages: ask, tools: [{ type: 'function', function: weather }], tool_choice: 'required',
    parallel_tool_calls: false,
  };
  const whole = await c.chat.completions.create(asked);
  const call = whole.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, 'get_weather');
  assert.ok(JSON.parse(call.function.arguments).city.length <= 20);
  const final = await c.chat.completions.stream(asked).finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
  const messages = [...ask, whole.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }];
  const then = await c.chat.completions.create({ ...greedy, messages, tools: asked.tools });
  assert.ok(then.usage.prompt_tokens > whole.usage.prompt_tokens);
  let ran = 0;
  const run = c.chat.completions.runTools({
    ...greedy, max_tokens: 120, messages: ask, parallel_tool_calls: false,
    tool_choice: { type: 'function', function: { name: 'get_weather' } },
    tools: [{ type: 'function', function: { ...weather, parse: JSON.parse, function: () => { ran += 1; return 'sunny'; } } }],
  });
  await run.done();
  assert.equal(ran, 1);
  const format = { type: 'json_schema', json_schema: { name: 'person', schema: person, strict: true } };
  const parsed = await c.chat.completions.parse({ ...greedy, max_tokens: 100, messages: ask, response_format: format });
  assert.ok(parsed.choices[0].message.parsed.age <= 120);
}

async function responses() {
  const asked = { model, input: ask[0].content, temperature: 0, max_output_tokens: 24 };
  const whole = await c.responses.create(asked);
  const said = await c.chat.completions.create({ ...greedy, messages: ask });
  assert.equal(whole.output_text, said.choices[0].message.content);
  const events = await collect(await c.responses.create({ ...asked, stream: true }));
  assert.equal(events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join(''), whole.output_text);
  assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
  const required = {
    ...asked, max_output_tokens: 120, tools: [{ type: 'function', strict: true, ...weather }], tool_choice: 'required',
    parallel_tool_calls: false,
  };
  const final = await c.responses.stream(required).finalResponse();
  const call = final.output.at(-1);
  assert.equal(call.type, 'function_call');
  assert.ok(JSON.parse(call.arguments).city.length <= 20);
  const input = [...ask, ...final.output, { type: 'function_call_output', call_id: call.call_id, output: 'sunny' }];
  assert.ok((await c.responses.create({ ...asked, input, tools: required.tools })).usage.input_tokens > final.usage.input_tokens);
  const text = { format: { type: 'json_schema', name: 'person', schema: person, strict: true } };
  const parsed = await c.responses.parse({ ...asked, max_output_tokens: 100, text });
  assert.ok(parsed.output_parsed.age <= 120);
}

async function others() {
  const prompt = 'The capital of France is';
  const r = await c.completions.create({ model, prompt, max_tokens: 3, temperature: 0, logprobs: 1 });
  assert.equal(r.choices[0].logprobs.tokens.join(''), r.choices[0].text);
  const raw = await c.chat.completions.create({ ...greedy, messages: ask }).withResponse();
  assert.equal(raw.response.headers.get('x-hearth-route'), 'local');
}

async function errors() {
  const create = (more) => c.chat.completions.create({ ...greedy, messages: ask, ...more });
  await refused(create({ model: 'no-such-model' }), OpenAI.NotFoundError, 'no-such-model');
  await refused(create({ temprature: 1 }), OpenAI.BadRequestError, "did you mean 'temperature'");
  await refused(create({ stream: true, n: 99 }), OpenAI.BadRequestError, "'n'");
  const bias = await refused(create({ logit_bias: { 5: 101 } }), OpenAI.BadRequestError, 'token 5');
  assert.equal(bias.param, 'logit_bias');
  const long = await refused(create({ messages: [{ role: 'user', content: 'word '.repeat(5000) }] }), OpenAI.BadRequestError);
  assert.equal(long.code, 'context_length_exceeded');
  const kept = c.responses.create({ model, input: 'x', previous_response_id: 'resp_1' });
  assert.equal((await refused(kept, OpenAI.BadRequestError, 'whole conversation')).param, 'previous_response_id');
  const stream = await create({ stream: true, max_tokens: 1500 });
  for await (const _ of stream) break; // a reader that leaves
  assert.ok((await create({ max_tokens: 2 })).choices[0].message.content);
}

(async () => {
  for (const check of [models, chat, tools, responses, others, errors]) {
    await check();
    console.log('ok', check.name);
  }
})().catch((e) => {
  console.error(e);
  process.exit(1);
});

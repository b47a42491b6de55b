// A real OpenID Connect provider for tests/browser: PORT, then a JSON of what it shall be. It says "listening" once it does.
//   {client: {id, secret, callback}, people: {login: claims}, claimsInToken: whether the ID token holds them itself}
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [port, given] = [process.argv[2], JSON.parse(process.argv[3])];
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: given.client.id, client_secret: given.client.secret, redirect_uris: [given.client.callback] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  scopes: ["openid", "email", "profile", "groups"],
  conformIdTokenClaims: !given.claimsInToken,
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["a key of the tests"] },
  findAccount: (_context, login) =>
    given.people[login] && { accountId: login, claims: () => ({ sub: login, ...given.people[login] }) },
});

const page = (uid) => `<!doctype html><html lang="en"><head><title>Provider</title><link rel="icon" href="data:,"></head>
<body><h1>Who are you?</h1><form method="post" action="/interaction/${uid}"><input name="login" aria-label="Login">
<button>Continue</button></form><form method="post" action="/interaction/${uid}"><button name="no" value="1">Go back</button></form></body></html>`;

async function interact(request, response) {
  const { uid, params, session } = await provider.interactionDetails(request, response);
  if (request.method === "GET" && !session?.accountId) {
    response.writeHead(200, { "Content-Type": "text/html" }).end(page(uid));
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  if (form.get("no")) {
    await provider.interactionFinished(request, response, { error: "access_denied", error_description: "You went back" });
    return;
  }
  const accountId = session?.accountId || form.get("login");
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const grantId = await grant.save();
  await provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId } });
}

const answer = provider.callback();
createServer((request, response) =>
  request.url.startsWith("/interaction/") ? interact(request, response).catch((problem) => {
    response.writeHead(500).end(String(problem));
  }) : answer(request, response),
).listen(Number(port), "127.0.0.1", () => console.log("listening"));

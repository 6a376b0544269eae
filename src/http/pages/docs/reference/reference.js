// Starts Swagger UI on one of this server's own documents. Keys are kept in the page's memory only, and gone when it is closed.
{
const place = document.getElementById("ui");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

/** Fields for values of these formats, which Swagger UI would look for in vain, and say so. */
const plain = (name) => ({ getComponent, ...props }) => {
  const { React } = window.ui.getSystem();
  return React.createElement(getComponent(name), { getComponent, ...props });
};

/**
 * A list of records has a condition for every column and operator: hundreds. They are shown a column at a time, as chosen;
 * whoever fills one in keeps seeing it.
 */
const conditions = (Parameters, { React }) => {
  const { createElement: h, useState } = React;
  const column = (parameter) => parameter.get("x-column");
  return function ParametersWithConditions(props) {
    const [chosen, choose] = useState([]);
    const columns = props.parameters.map(column).filter(Boolean).toOrderedSet();
    if (columns.isEmpty()) return h(Parameters, props);
    const shown = props.parameters.filter((one) => !column(one) || chosen.includes(column(one)));
    const add = (event) => choose([...chosen, event.target.value]);
    const left = columns.filter((name) => !chosen.includes(name)).toArray();
    const options = [h("option", { key: "", value: "" }, "choose a column…"), ...left.map((name) => h("option", { key: name }, name))];
    return h(
      React.Fragment,
      null,
      h(Parameters, { ...props, parameters: shown }),
      h(
        "label",
        { className: "conditions" },
        `Conditions on ${columns.size} columns `,
        h("select", { value: "", onChange: add, disabled: left.length === 0 }, options),
      ),
    );
  };
};

/**
 * Requests are tried where this page came from, below whatever path a proxy puts before it: the page's policy allows no other
 * place, and the document names the server by its public address.
 */
const here = location.origin + place.dataset.server;

fetch(place.dataset.document).then((answer) => answer.json()).then((spec) => {
  spec.servers = [{ url: here }];
  window.ui = SwaggerUIBundle({
    spec,
    dom_id: "#ui",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    validatorUrl: null,
    plugins: [
      {
        components: {
          JsonSchema_integer_int64: plain("JsonSchema_string"),
          JsonSchema_number_decimal: plain("JsonSchema_string"),
          JsonSchema_number_double: plain("JsonSchema_string"),
          JsonSchema_string_date: plain("JsonSchema_string"),
          "JsonSchema_string_date-time": plain("JsonSchema_string"),
          JsonSchema_string_uuid: plain("JsonSchema_string"),
        },
        wrapComponents: { parameters: conditions },
      },
    ],
  });
}).catch(() => { place.textContent = place.dataset.failed; });
}

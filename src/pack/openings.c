/* openings.c: texts only. An empty one is what the model says unasked. */
#include "pack/openings.h"

#include "base/status.h"

static const char *const openings[] = {
    "",
    "The house at the end of the lane had stood empty for eleven years when, one wet evening in March, somebody lit a "
    "lamp in the upstairs window. Old Mrs. Harrow saw it first, and",
    "#include <stdio.h>\n#include <stdlib.h>\n\n/* Reads lines from standard input and prints the longest one. */\n"
    "int main(void)\n{\n    char *line = NULL;\n    size_t size = 0;\n",
    "Dear Ms. Okafor,\n\nThank you for your letter of 14 May about the damaged delivery. I am sorry that",
    "{\n  \"order\": 20417,\n  \"customer\": {\"name\": \"Lena Brandt\", \"city\": \"Graz\"},\n  \"items\": [\n"
    "    {\"sku\": \"KT-118\", \"name\": \"kettle, 1.7 l\", \"quantity\": 1, \"price\": 39.90},\n",
    "Photosynthesis is how plants, algae and some bacteria store the energy of light. In the first step,",
    "Am nächsten Morgen lag der See ganz still. Der Fährmann wartete schon am Steg und sagte, dass",
    "| country | capital | population (millions) | area (km2) |\n|---|---|---|---|\n| Portugal | Lisbon | 10.4 | "
    "92,090 |\n| Norway | Oslo |",
    "def merge_intervals(intervals):\n    \"\"\"Join overlapping [start, end] pairs and return them sorted.\"\"\"\n"
    "    result = []\n    for start, end in sorted(intervals):\n",
    "\"You never told me you could play,\" said Ines.\n\n\"You never asked,\" said the boy, and closed the piano."
    "\n\n\"",
    "2024-03-09T06:12:44Z INFO  scheduler: job 8812 started on node-3\n2024-03-09T06:12:45Z WARN  storage: volume "
    "data-2 is 91% full\n2024-03-09T06:12:51Z ERROR",
    "",
    "Question: Why is the sky blue during the day and red at sunset?\nAnswer:",
    "La petite gare de montagne n'avait qu'un seul quai. Tous les matins, le chef de gare",
    "Theorem. There are infinitely many prime numbers.\n\nProof. Suppose there were only finitely many, p_1, ..., p_n. "
    "Let N =",
    "Tomato and white bean soup\n\nServes 4 | 35 minutes\n\nIngredients\n- 2 tablespoons olive oil\n- 1 large onion, "
    "finely chopped\n- 3 cloves of garlic\n-",
    "SELECT c.name, COUNT(*) AS orders, SUM(o.total) AS revenue\nFROM customers c\nJOIN orders o ON o.customer_id = "
    "c.id\nWHERE o.placed_at >= '2023-01-01'\n",
    "The river commission said on Tuesday that the new flood barrier will open in June, two years later than planned. "
    "According to the engineers,",
    "export async function loadProfile(userId) {\n  const response = await fetch(`/api/users/${userId}`);\n"
    "  if (!response.ok) {\n",
    "",
    "En el mercado del puerto, las mujeres empiezan a vender pescado antes de que salga el sol. Aquel día,",
    "1. INTRODUCTION\n\nMeasurements of soil moisture by satellite have improved greatly over the past two decades. "
    "However, most of the existing methods",
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n  <meta charset=\"utf-8\">\n  <title>Village library</title>\n"
    "</head>\n<body>\n  <h1>Opening hours</h1>\n  <ul>\n",
    "A train leaves at 9:40 and travels 210 km at an average speed of 84 km/h. When does it arrive?\n\nSolution: The "
    "time it takes is",
    "Tenant shall pay the rent on or before the first day of each month. If any payment is more than ten (10) days "
    "late, Tenant",
    "Subject: Re: Friday's meeting\nFrom: Tomasz\nTo: Planning group\n\nHi all,\n\nI moved the meeting to 3 pm because",
    "昔、山のふもとの小さな村に、字を読むのが大好きな女の子がいました。ある日、",
    "use std::collections::HashMap;\n\n/// Counts how often each word occurs in `text`.\npub fn word_counts(text: "
    "&str) -> HashMap<String, usize> {\n",
    "The Treaty was signed in the autumn of 1648 and ended thirty years of war. Its most lasting effect was",
    "date,product,region,units,price\n2023-01-04,lamp,north,14,24.50\n2023-01-04,chair,south,3,89.00\n2023-01-05,",
    "Review: five stars\n\nI bought these boots for a walking holiday in Scotland and they were dry after six hours of "
    "rain. The only thing",
    "A mulher abriu a carta devagar, como quem já conhece as más notícias. Dentro havia",
    "",
    "Interviewer: You left medicine after twenty years to build boats. What happened?\n\nGuest:",
    "server:\n  listen: 127.0.0.1:8080\n  workers: 4\nlogging:\n  level: info\n  file: /var/log/app.log\ndatabase:\n",
    "How to change a bicycle tyre\n\nStep 1. Turn the bicycle over and open the brake.\nStep 2.",
    "小明每天早上七点起床，先给阳台上的花浇水，然后",
    "public class Account {\n    private final String owner;\n    private long cents;\n\n    /** Moves money to "
    "another account; fails when there is too little. */\n    public void transfer(",
    "The patient is a 54-year-old woman with a three-day history of fever and cough. On examination,",
    "Night fell over the harbour,\nand the boats, one by one,\n",
    "Вечером дед сидел у окна и рассказывал, как в молодости он",
    "What is new in version 2.4\n\n- The search now finds words with accents\n- Fixed: the program no longer\n-",
    "Let f(x) = x^3 - 6x^2 + 9x + 1. To find the local extrema, we compute f'(x) =",
    "",
    "Die Gemeindeversammlung beschliesst:\n\nArt. 1 Zweck\nDieses Reglement regelt die Benützung der öffentlichen",
    "ACT ONE\n\nA kitchen. Rain on the window. PAUL is reading a newspaper that is four days old.\n\nMARIA: (without "
    "turning round)",
    "#!/bin/sh\n# Copies the photos of a camera into folders by date.\nset -eu\n\nsource=\"$1\"\ntarget=\"$2\"\n\nfor ",
    "In economics, a good is called a public good if nobody can be kept from using it and",
    "Il treno per Bologna era in ritardo di quaranta minuti, così i due sconosciuti cominciarono a parlare. ",
    "Glossary\n\nAlloy: a metal made of two or more elements.\nBearing: a part that lets another part turn with little "
    "friction.\nCamshaft:",
    "بدأت الرحلة في الصباح الباكر، وكان الطريق إلى الجبل",
    "Q: Can I return a gift without the receipt?\nA: Yes. Bring the item within 30 days and we will\nQ:",
};

static const char *const questions[] = {
    "Explain in simple words how a refrigerator works.",
    "Write a short, polite e-mail to my landlord: the heating has been broken for three days.",
    "Write a Python function that checks whether a word is a palindrome, with two tests.",
    "Summarize in one sentence: The council met on Monday evening and, after a long debate about costs, voted seven to "
    "four to repair the old swimming pool instead of building a new one outside the town.",
    "Was sind die wichtigsten Unterschiede zwischen Aktien und Anleihen?",
    "Give me three ideas for a quick dinner with rice, eggs and spinach.",
    "Extract name, date and amount as JSON: \"Invoice from Peter Lang, 3 April 2022, total 148.50 EUR, due in 30 "
    "days.\"",
    "What is 17 times 24? Show each step.",
    "Tell me a bedtime story about a hedgehog who is afraid of the dark.",
    "Is this review positive or negative? \"The food was cold, but the waiter was so kind that we will come back.\"",
    "Traduis en anglais : « Je voudrais réserver une table pour quatre personnes demain soir. »",
    "What caused the First World War? Answer in a few paragraphs.",
    "My program prints \"segmentation fault\". How do I find out why?",
    "Make a table of the planets with their diameter and the length of their year.",
    "Rewrite this so that it sounds friendlier: Send me the report today. You are late again.",
    "¿Cómo puedo aprender a tocar la guitarra sin profesor?",
    "List five questions that I should ask before I buy a used car.",
    "Write a poem about the sea in autumn.",
    "Which category fits best: billing, technical problem, other? \"I was charged twice this month.\"",
    "How do vaccines protect us? Explain it to a ten-year-old.",
};

const char *opening_at(size_t i)
{
    return i < ARRAY_LEN(openings) ? openings[i] : NULL;
}

const char *opening_question_at(size_t i)
{
    return i < ARRAY_LEN(questions) ? questions[i] : NULL;
}

"""The tales that ship with microgpt: a grammar of small stories (grammar.py says how to read it).

Much of a tale is decided long before the text shows it: who the hero is, and whether it is a she, a he or an
it; what was found or stolen, what was wished for, who left the clue, and which magic word has to be said once
more.
A model that has learned all this has an average loss of `entropy_rate()`, and no model has less.
"""

import random
from functools import cache

from microgpt.corpora.grammar import Grammar

# in the order of frequency, like all alternatives of a grammar
NAMES = """
    Mira she, Otto he, Tilda she, Bruno he, Button it, Nora she, Felix he, Clara she, Jasper he, Wanda she,
    Anton he, Crumb it, Petra she, Rufus he, Lotte she, Oscar he, Agnes she, Barnaby he, Rosa she, Leo he,
    Pebble it, Flora she, Tobias he, Edith she, Milo he, Greta she, Ned he, Minna she, Wilbur he, Acorn it,
    Dora she, Arlo he, Sylvie she, Emil he, Maud she, Basil he, Freya she, Linus he, Zelda she, Gus he,
    Noodle it, Bertha she, Quentin he, Ursula she, Victor he, Ivy she, Kasimir he, Yolanda she, Fidget it,
    Ambrose he, Lucinda she, Dexter he, Pamela she, Hubert he, Kiki she, Ravi he, Jo she, Xaver he
"""
PRONOUNS = {"she": "she / her / her", "he": "he / him / his", "it": "it / it / its"}
PEOPLE = [entry.split() for entry in NAMES.split(",")]

GRAMMAR = """
# The plot: a line is a paragraph, and an empty line ends the tale

tale: {title}¶ {opening} {custom} {neighbours}¶ {wishing} {answer}¶ {adventure}¶ {journey} {arrival}¶
    {homecoming} {fate} {moral}¶¶
title: {hero=name.first} and the {stuff=material.word} {thing=object.word}
    | The {stuff=material.word} {thing=object.word} of {hero=name.first}
    | How {hero=name.first} left home with {stuff=material.a} {thing=object.word}
    | {hero=name.first}, or the {stuff=material.word} {thing=object.word}
adventure: {finding} {look}¶ {meeting} {secret}¶ {trouble} {fear} {rescue}
    | {loss}¶ {alarm}¶ {chase} {peace}

# Who, where, and what they were like

opening: {hero.first} was {temper} {kind} and lived in {dwelling} near {vill=vill}{age=age}.
    | Once {temper} {kind} called {hero.first} lived in {dwelling}, not far from {vill=vill}{age=age}.
    | In {vill=vill}{age=age} everybody knew {hero.first}, {temper} {kind} with {garment} and {dwelling}.
    | In the year {digit}{digit}{digit} {temper} {kind} came to {vill=vill}{age=age}, moved into {dwelling}
      and said, "My name is {hero.first}."
custom: Every {daypart} {hero.they} {watched} {sights} and ate {food}.
    | {hero.They} liked {food}, {pastime} and {sights}, but not {nuisance}.
    | {hero.Their} {relative} had taught {hero.them} to {skill}, but never to {virtue}.
    | {hero.They} owned {things}, {things}, {garment} and {garment}.
    | On {weather} {daypart}s {hero.they} {watched} {sights} or read {poems} about {polite} {animals}.
neighbours: The {folk=folk.word} {near} {landmark}, who {gossip}, {folk.were} {mood}.
    | The {folk=folk.word} next door, who {gossip}, {folk.were} {vain} and {mood}.
    | Only the {folk=folk.word} {near} {landmark} {folk.were} {mood}.

# The wish

wishing: "{longing} {deed=deed.do} {goal}," {said} {hero.first} {softly}, {doing}.
    | One {weather} {daypart} {hero.first} {did} and {said}, "{longing} {deed=deed.do} {goal}."
    | {Doing}, {hero.they} {softly} {said}, "{longing} {deed=deed.do} {goal}."
goal: the {realm=realm} of {shade=shade} {marvel=marvel}
answer: {Omen}.
    | "{doubt}," {said} the {folk.word} {softly}, and {omen}.
    | "{doubt}," {said} {hero.their} {cousin} {kin} {softly}, {doing}.
    | {hero.They} waited {number} {units}, until {omen}.

# One adventure: something is found, a stranger knows the magic word, a monster gets to hear it

finding: One {weather} {daypart} {hero.they} {walked} {path} and {path}. {Under} {spot} {lay} {stuff.a}
    {thing.word}.
    | On {weather} {daypart}s {hero.they} {walked} {path} for {harvest}. Once {stuff.a} {thing.word} {lay}
      {under} {spot}.
    | One {weather} {daypart}, {under} {spot} {near} {landmark}, {lay} {stuff.a} {thing.word}.
look: It was {quality} and {pretty}, and it smelled of {smell}.
    | On it were {number} {colour} {marks}, and it smelled of {smell}.
    | {hero.They} {touched} it, and {omen}.
meeting: "{greeting}!" {said} {friend=name.first!hero}, {temper} {kind} with {garment}, {doing}.
    | {Near} {landmark} sat {temper} {kind}, {doing}. "{greeting}! I am {friend=name.first!hero}. Have some
      {food}."
    | Then came {friend=name.first!hero}, {temper} {kind}, {doing}. "{greeting}!" {said} {hero.first}.
secret: "{thing.Use} it and say {spell}," {said} {friend.first} {softly}, {doing}.
    | They ate {food}. "My {cousin} {kin} had {stuff.a} {thing.word}," {friend.they} {said}. "The word was
      {spell}."
    | "What a {pretty} {thing.word}!" {said} {friend.first}. "{thing.Use} it, think of {animals} and say
      {spell}."
spell: {one=syllable}{two=syllable} {three=syllable}{four=syllable}
trouble: {Near} {landmark} {lurked} {fierce} {monster=monster}, {doing}.
    | They {walked} {path}. There {lurked} {fierce} {monster=monster} with {garment} and {number} {colour}
      {limbs}.
    | But {under} {spot} {lurked} {fierce} {monster=monster}, {doing}.
fear: {hero.first} {gulped}, and {friend.first} hid {under} {spot}.
    | "{panic}!" {said} {friend.first}, and both {gulped}.
    | "Give me {things}," it {roared}, "{food}, {food} and {garment}!"
rescue: {hero.first} {thing.used} the {thing.word}. "{one.Text}{two.text} {three.text}{four.text}!" The
    {monster.text} {gulped}, {roared} and turned into a {colour} {clothing}.
    | {hero.first} {thing.used} the {thing.word} and said {one.text}{two.text} {three.text}{four.text}.
      {Omen}, and the {monster.text} {walked} {path}.
    | "{one.Text}{two.text} {three.text}{four.text}!" {said} {hero.first} and {thing.used} the {thing.word}.
      The {monster.text} {gulped}, began to {skill} and gave them {food}.

# The other adventure: something is stolen, but the thief left a clue

loss: {hero.first} kept {stuff.a} {thing.word} {under} {furniture}. One {weather} {daypart} it was gone, and
    there lay {thief=thief.clue}.
    | {Under} {furniture} {lay} {stuff.a} {thing.word}, {quality} and {pretty}. One {weather} {daypart}
      {hero.first} found only {thief=thief.clue}.
alarm: "{panic}!" {said} {hero.first}. {friend=name.first!hero} the {kind} came from {landmark} with
    {garment}. "{thief.Clue}? {deduction} the {thief.word}!"
    | {hero.They} {did} and went to {friend=name.first!hero}, {temper} {kind}, {doing}. "{deduction} the
      {thief.word}," {said} {friend.first} {softly}.
chase: They {walked} {path}, {path} and {path}. {Under} {spot} sat the {thief.word}, {doing}.
    | With {food}, {food} and {things} they {walked} {path}. There, in {garment}, sat the {thief.word},
      {doing}.
    | {Near} {landmark} they met {polite} {animals}, and {near} {landmark} the {thief.word}, {doing}.
peace: "It was so {pretty}," {sobbed} the {thief.word}, "and I have only {things}." So they left it {garment}
    and {garment}.
    | "I only wanted to {thing.use} it," {sobbed} the {thief.word}. So it {thing.used} it, sang, "{Song}!" and
      {gulped}.
    | "Have some {food}," {said} {hero.first}. The {polite} {thief.word} {gulped}, {gulped} and gave it back.

# The wish comes true

journey: "To {there}!" {said} {friend.first}, and they {walked} {path} and {path}. The {polite} {animals}
    sang, "{Song}!"
    | They packed {things}, {things}, {garment}, {food}, {food} and the {thing.word}. "{Song}," they sang and
      {walked} {path}.
    | They {walked} {path}, {past} {number} {polite} {animals} and {path}, and sang, "{Song}!"
there: the {realm.text} of {shade.text} {marvel.text}
arrival: {Number} {units} later {hero.first} {deed.did} {there}. It smelled of {smell} and {food}, and {omen}.
    | One {weather} {daypart} {hero.first} {deed.did} {there}. "It is {bigger} than {landmark}," {said}
      {friend.first}, {doing}.
    | And so {hero.first} {deed.did} {there}, where {number} {polite} {animals} could {skill} and wore
      {colour} {clothing}s.

# The end

homecoming: In {vill.text}{age.text} the {folk.word}, who {gossip}, {folk.were} {doing} and humming, "{Song}."
    | Back in {vill.text}{age.text} there was {food}, {food} and {food}, and even the {folk.word} {folk.were}
      {mood}.
    | In {vill.text}{age.text} only the {folk.word}, who {folk.were} {doing}, believed it.
fate: The {stuff.word} {thing.word} now lies {under} {furniture}, {near} {things} and {garment}.
    | {friend.first} moved into {dwelling}, with {things}, {things} and {garment}.
    | {hero.first} gave the {thing.word} to {temper} {cousin}, {kin} {surname}, who {gossip}.
    | Every {daypart} {hero.first} and {friend.first} {did}, and there was {food}.
moral: A friend is worth more than {things}, {things} or {food}.
    | And {omen}.
    | So learn to {virtue}, take {garment} and never {skill} on a {weather} {daypart}.
    | Since then {hero.first} can {skill} and {virtue}.

# Phrases

kin: {kin=name.first!hero}
surname: {vill}{age}
song: {syllable}-{syllable}-{syllable}, {syllable}-{syllable}-{syllable}
dwelling: {small} {house} {near} {landmark}
landmark: the {old} {mill}
path: {past} {landmark}
garment: a {colour} {clothing}
food: {plum} {cake}
things: {number} {colour} {belongings} | {number} {belongings}
sights: the {polite} {animals} | the {old} {ships}
doing: eating {food} | counting {things} | knitting {garment} | peeling {number} {onions} | trying to {skill}
    | looking for {garment} | dreaming of {food} | arguing with {number} {animals} | painting {landmark}
    | chewing {number} {onions} | mending {garment} | singing to the {animals}
    | reading {poems} about {pastime} | selling {food} | juggling {number} {onions} | weeping over {pastime}
    | learning to {virtue} | washing {things}
did: ate {food} | counted {things} | put on {garment} | fed {number} {animals} | peeled {number} {onions}
    | danced | {watched} {sights} | read {poems} about {sights} | baked {food} | sketched {landmark}
    | sold {things} | wrote to {kin} {surname} | washed {garment} | talked about {pastime}
omen: {temper} {kind} {gulped} | a {cold} wind came from {landmark} | a {colour} star fell
    | {number} {animals} {gulped} | {number} clocks struck {seven} | the air tasted of {smell}
    | the {polite} {animals} {gulped} | the {mill} {glowed}
gossip: sold {food} | slept {under} {spot} | had once seen {number} {animals}
    | collected {colour} {belongings} | had come from {landmark} | feared {nuisance}
    | paid for everything with {food} | could {skill} | had never learned to {virtue} | loved {pastime}
    | wore {colour} {clothing}s | wrote {poems} about {animals}
mood: fond of {pastime} | afraid of {nuisance} | famous for {food} | as {polite} as {animals}
    | tired of {animals} | too {polite} to {virtue} | good at {pastime} | always {doing}
doubt: You cannot even {skill} | First learn to {virtue} | Take {garment} with you | You would miss {food}
    | Not even {animals} go there | Somebody has to feed the {animals} | It is full of {nuisance}
    | It is too {far} | Ask me in {number} {units} | My {relative} walked {path} and never came back
longing: I wish I could | One day I shall | If only I could | I want to | I must | Somehow I will | Let me
    | All {animals} want to | I would give {things} to | I would trade {food} to
    | My {cousin} {kin} told me to

# Words that change their form

material (word / a): copper / a copper | silver / a silver | wooden / a wooden | glass / a glass
    | iron / an iron | brass / a brass | golden / a golden | stone / a stone | amber / an amber
    | painted / a painted | tin / a tin | jade / a jade | bronze / a bronze | rusty / a rusty
    | marble / a marble | ivory / an ivory | pewter / a pewter | enamel / an enamel | crystal / a crystal
    | leaden / a leaden | paper / a paper | oaken / an oaken | nickel / a nickel | leather / a leather
    | onyx / an onyx | porcelain / a porcelain
object (word / use / used): bell / ring / rang | key / turn / turned | whistle / blow / blew
    | lantern / light / lit | drum / beat / beat | flute / play / played | spoon / lick / licked
    | mirror / polish / polished | compass / shake / shook | kettle / rub / rubbed | button / press / pressed
    | top / spin / spun | coin / toss / tossed | box / open / opened | comb / kiss / kissed
    | horn / sound / sounded | clock / wind / wound | cup / fill / filled | fan / wave / waved
    | hammer / swing / swung | wheel / roll / rolled | fiddle / tune / tuned | bowl / tap / tapped
    | crown / lift / lifted | pipe / puff / puffed | thimble / flip / flipped | lever / pull / pulled
    | sword / draw / drew | needle / thread / threaded | ladle / lower / lowered | ball / bounce / bounced
deed (do / did): see / saw | visit / visited | find / found | reach / reached | paint / painted
    | explore / explored | walk to / walked to | sing about / sang about | sail to / sailed to
    | cross / crossed | draw / drew | dance in / danced in | map / mapped | fly over / flew over
    | discover / discovered
folk (word / were): geese / were | miller / was | ducks / were | baker / was | twins / were | postman / was
    | goats / were | ferryman / was | bees / were | clockmaker / was | shepherds / were | washerwoman / was
    | monks / were | blacksmith / was | nuns / were | gardener / was | sailors / were | beekeeper / was
    | cows / were | mayor / was | acrobats / were | chimney sweep / was | poets / were | locksmith / was
    | hens / were | cobbler / was | triplets / were | night watchman / was | crickets / were | midwife / was
thief (word / clue): crow / a black feather | bear / a drop of honey | cat / a fish bone
    | rat / a grey whisker | monkey / a banana skin | ram / a tuft of wool | mule / a bent horseshoe
    | spider / a sticky thread | moth / a chewed candle | seagull / a wet seashell | peacock / a bright plume
    | weasel / a crust of cheese | stork / a red straw | camel / a grain of sand
    | jackdaw / a torn playing card | tiger / a striped hair | swan / a puddle | snail / a trail of slime
    | bat / a squashed fig | elephant / a round footprint

# Words

digit: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9
number: {seven} | {digit}{digit}
seven: seven | two | three | five | four | nine | twelve | six | forty | eleven | thirteen | eight | twenty
    | ten | fifty | thirty | fifteen | a hundred | a dozen
syllable: ba | ku | zim | lo | ra | mi | tor | du | fe | shi | gan | po | nu | wex | va | kel | bi | hu | jo
    | ti | sna | qui | mo | ply | ru | go | pha | dri | ze | ox | yan | cu | sto | le | xi | um | ab | ig | ek
    | wo
vill: Mud | Lark | Thistle | Penny | Nettle | Owl | Salt | Honey | Goose | Quill | Windle | Toad | Grey
    | Barley | Jam | Ink | Elm | Fox | Button | Kettle | Plum | Swan | Cold | Moss | Hazel | Lantern | Rain
    | Bramble | Pepper | Dusty | Clover | Turnip | Hollow | Ember | Acorn | Feather
age: bury | ford | wick | hill | combe | bridge | ton | ham | well | gate | stone | moor | mouth | marsh
    | haven | field | worth | stead | pool | dale | burn | holt | cross | minster | thorpe | wood
temper: a kind | a shy | a brave | a clever | a curious | an old | a cheerful | a lazy | a stubborn | a quiet
    | a gentle | a proud | an eager | a patient | a restless | a dreamy | a hungry | a nervous | an honest
    | a careful | a polite | a merry | a forgetful | an anxious | a thoughtful | a grumpy | a young | an idle
    | a bold | a vain | a wise | a lonely | a tall | a sleepy | a freckled | a giddy | an odd | a humble
    | a reckless | a witty | an unlucky | a talkative | a rich | a bashful | a moody
kind: hare | mouse | fox | badger | hedgehog | otter | mole | squirrel | frog | duckling | kitten | goat
    | lamb | tortoise | sparrow | beaver | dormouse | rabbit | donkey | heron | toad | raccoon | lizard
    | hamster | wren | newt | piglet | puppy | marten | robin | gosling | vole | ferret | lynx | pigeon
    | stoat | turtle | foal | calf | salamander | walrus | penguin | llama | wombat
polite: polite | lazy | noisy | proud | shy | clever | tiny | nervous | grumpy | famous | wise | merry
    | sleepy | hungry | stubborn | careful | elegant | young | cheerful | rude | anxious | solemn | plump
    | idle | brave | invisible | gloomy | fearless | eager | modest | musical | one-eyed | wild | busy
    | silent | jealous
vain: vain | clumsy | strict | cross | slow | tender | loud | blunt | bossy | frail | dizzy | thrifty | prim
animals: sparrows | frogs | moles | owls | rabbits | pigeons | trout | beetles | foxes | lizards | swans
    | mice | magpies | toads | bats | hedgehogs | otters | snails | herrings | donkeys | wasps | ponies
    | pelicans | squirrels | lobsters | ants | seals | parrots | wolves | eels | larks | badgers | geckos
    | butterflies
small: a small | a crooked | a tiny | an old | a narrow | a round | a warm | a tidy | a dusty | a draughty
    | a leaning | a bright | an untidy | a yellow | a damp | a rented | a dark | an empty | a cosy | a noisy
    | a stately | a thatched | a tilted | a secret | an airy
house: cottage | house | hut | burrow | tower | cabin | boathouse | attic | cellar | barrel | wagon | windmill
    | tent | greenhouse | shed | stable | treehouse | caravan | inn | barn | bakery | cave | nest | library
near: beside | near | behind | opposite | below | next to | across from | beyond | close to
past: past | around | towards | beyond | as far as | down to | up to | back to
under: under | behind | beside | beneath | next to | below
old: old | quiet | misty | lonely | windy | mossy | forgotten | sleepy | sunny | distant | famous | ancient
    | hidden | enchanted | snowy | pleasant | shady | nameless | silent | green | frosty | royal | gloomy
    | haunted | crooked | lovely | peaceful | northern | empty | narrow | gigantic | moonlit | muddy
    | southern | secret | upper | dreary | holy | western
mill: mill | forest | hill | bridge | orchard | marsh | meadow | lake | river | harbour | valley | garden
    | pond | quarry | lighthouse | heath | castle | waterfall | crossroads | beach | vineyard | market | canal
    | jetty | abbey | tunnel | school | tavern | theatre | fountain | museum | prison | bakehouse | library
    | dam | moor | post office | station | chapel | park | square
ships: ships | boats | carts | chimneys | trains | barges | balloons | windmills | rooftops | gardens
    | bridges | wagons | kites | lamps | trees
realm: island | city | valley | palace | kingdom | desert | cave | library | forest | market | harbour | house
    | village | bridge | mountain | temple | lagoon | tower | swamp | museum | street | fortress | republic
shade: silver | lost | singing | golden | broken | paper | frozen | quiet | hidden | crystal | floating
    | burning | velvet | giant | dancing | endless | foolish | forgotten | glass | whispering | wooden
    | stolen | invisible | seven | talking | clever | purple | ticking | honest
marvel: bells | clocks | kites | cats | umbrellas | lamps | echoes | doors | ships | mirrors | moons | ladders
    | roses | stairs | whales | statues | dreams | trumpets | feathers | giants | books | fountains | pancakes
    | shadows | dolls | wishes | keys | bridges | ghosts | violins | carpets
spot: a {hollow} {oak} | an {open} {oak}
hollow: hollow | broken | fallen | mossy | rusty | huge | crooked | wet | painted | forgotten | charred
    | mouldy | sooty | sunken | wobbly | lopsided | tall | green
open: old | enormous | ugly | abandoned | overgrown | ivy-covered | unpainted | icy
oak: oak | cart | barrel | boat | wheelbarrow | log | haystack | tent | chest | trough | gate | bathtub
    | fence | signpost | beehive | cannon | statue | sledge | plough | cupboard | piano | pear tree
    | milestone
furniture: the {wobbly} {bed}
wobbly: wobbly | old | big | broken | green | oak | narrow | heavy | second | painted | creaking | new | blue
bed: bed | stove | table | bookshelf | cupboard | piano | wardrobe | washtub | armchair | flowerpot | sofa
    | desk | bathtub | dresser | cradle | cabinet | fireplace | bench
monster: troll | giant | ogre | wolf | dragon | witch | ghost | bandit | wizard | goblin | pirate | vampire
    | sea serpent | knight | tax collector | bull | werewolf | crocodile | scarecrow | judge | skeleton
    | wild boar | cyclops | lion | sphinx | demon | griffin | gorilla | mammoth
fierce: a fierce | a grim | a huge | an angry | a hairy | a one-eyed | a hungry | a bald | a sulky | an ugly
    | a green | a cruel | a howling | a smelly | a bored | a drooling | a spiteful | an ancient | a masked
lurked: lurked | sat | waited | stood | crouched | snored | squatted | loomed | knelt | lounged
limbs: eyes | heads | teeth | horns | tails | arms | noses | claws | ears | tongues | wings | legs | scales
    | chins
roared: roared | bellowed | growled | howled | snarled | thundered | shouted | hissed | screamed | barked
weather: sunny | windy | grey | misty | frosty | rainy | golden | quiet | cold | warm | bright | cloudy | lazy
    | snowy | stormy | silvery | mild | foggy | muggy | gloomy | breezy | damp | sultry | drizzly | crisp
    | hazy
daypart: morning | evening | afternoon | day | Sunday | Monday | Friday | Saturday | Wednesday | Thursday
    | Tuesday | holiday
units: days | weeks | hours | nights | minutes | months | mornings | winters | years | summers
cold: cold | warm | soft | bitter | sudden | gentle | salty | strange | strong | hot | rough
colour: red | blue | green | yellow | grey | striped | purple | spotted | patched | faded | white | pink
    | black | brown | scarlet | crimson | dotted | shabby | brand-new | checked | violet | pale | lilac
    | turquoise | maroon | beige | shiny | fancy | dusty | dark
clothing: hat | coat | waistcoat | ribbon | cap | cloak | apron | jacket | shawl | bonnet | jersey | nightcap
    | mitten | glove | boot | sock | collar | bow tie | belt | hood | robe | skirt | tunic | turban | slipper
    | raincoat | helmet | necktie | blanket | wristband | gown | sleeve | mask | kilt | wig
belongings: teacups | blankets | spoons | candles | books | chairs | pillows | pencils | marbles | jars
    | postcards | socks | ladders | teapots | acorns | kites | pocket watches | stamps | bottles | buckets
    | umbrellas | trumpets | hairpins | corks | mugs | baskets | dice | lanterns | maps | forks | nails
    | ropes | saddles | brooms | shells
onions: onions | apples | pears | nuts | eggs | potatoes | lemons | carrots | turnips | oranges | plums
    | radishes | beetroots | chestnuts | figs | cucumbers
plum: plum | apple | honey | cherry | ginger | onion | pumpkin | hazelnut | pear | carrot | rhubarb | chestnut
    | lemon | raisin | barley | almond | nettle | turnip | elderberry | cheese | quince | mustard | potato
    | leek | poppyseed | walnut | fig | mushroom | vanilla | parsnip | cinnamon | mint | rye | bean
cake: cake | soup | pie | bread | jam | pudding | porridge | jelly | stew | custard | tart | cream | salad
    | broth | toast | punch | pickle | strudel | crumble | syrup | mash | curry | sauce | trifle | juice
    | gravy
pastime: chess | riddles | old songs | card games | sea stories | long walks | warm baths | puzzles
    | brass bands | long letters | tea parties | knitting | big words | bargains | waltzes | poetry | gossip
    | politics | tulips | fireworks | astronomy | grammar | croquet | cheese | opera | marbles | stamps
    | philosophy | fishing
nuisance: spiders | cold feet | surprises | visitors | wet socks | mornings | advice | clocks | speeches
    | dust | arithmetic | goodbyes | cabbage | trumpets | mosquitoes | stairs | thunder | mirrors | mud
    | queues | crowds | silence | heights | lawyers | cousins | dentists | draughts | sermons | moths
relative: grandmother | uncle | aunt | godfather | sister | brother | grandfather | mother | father
    | godmother | nephew | niece | stepmother
cousin: cousin | teacher | neighbour | tailor | landlord | doctor | barber | dentist | tutor | lodger | cook
    | butcher | gardener | pen friend | boss
skill: swim | bake bread | whistle | mend nets | row a boat | read maps | tie knots | keep bees
    | tell the time | juggle | dig wells | walk on stilts | catch flies | play the {horn} | cut hair
    | sharpen knives | light fires | yodel | dance the polka | paint {ships} | milk goats | repair {ships}
    | cook {plum} {cake} | shear sheep | knit {clothing}s | imitate {animals} | tame {animals}
    | count backwards | speak Latin | stand on one leg
horn: horn | harp | organ | tuba | fiddle | drums | bagpipes | cello | zither | flute | oboe | banjo
virtue: sit still | say sorry | be patient | ask for help | keep a secret | lose a game | share {food}
    | take advice | wait | go to bed early | say no | trust {animals} | be on time | be brave | be honest
    | listen | knock first | save money | forgive {animals} | tidy up | queue | respect {animals}
    | apologise to {animals} | pay taxes
watched: watched | counted | drew | sang to | talked to | waved to | listened to | painted | bowed to
    | smiled at | wrote to | admired | greeted | envied | praised | scolded | guarded | followed
poems: poems | ballads | novels | letters | essays | rumours | legends | sonnets | plays | riddles | comics
said: said | whispered | sighed | murmured | declared | muttered | announced | mumbled | exclaimed | remarked
    | cried | croaked | stammered | shouted | explained | grumbled | insisted | chirped | squealed | groaned
softly: softly | loudly | sadly | bravely | dreamily | politely | shyly | sleepily | gravely | suddenly
    | quickly | crossly | kindly | slowly | hoarsely | proudly | calmly | firmly | at last | at once
    | in tears
walked: walked | wandered | hurried | ran | strolled | crept | marched | hopped | trotted | tiptoed | skipped
    | hiked | danced | went | rode | limped | rolled | jogged | sneaked | drifted | dashed | stumbled
    | waddled | galloped
gulped: gulped | trembled | blinked | shivered | turned pale | sighed | coughed | frowned | shrugged | blushed
    | sniffed | sneezed | winced | groaned | swallowed | hiccuped | yawned | giggled | nodded | wept
    | whistled | stared | laughed | bowed | fainted | froze | smiled | scowled | burped | squeaked | hummed
glowed: glowed | shook | creaked | vanished | caught fire | fell silent | looked smaller | hummed
    | turned {colour}
sobbed: sobbed | wept | sniffled | mumbled | stammered | whispered | confessed | admitted | wailed | moaned
    | wheezed
touched: touched | lifted | shook | kissed | dropped | tapped | dusted | squeezed | licked | wiped | stroked
    | bit
lay: lay | shone | glittered | gleamed | waited | rested | glinted | sparkled | gathered dust | stood
    | rattled
harvest: mushrooms | firewood | berries | chestnuts | feathers | snails | clover | pebbles | garlic | nuts
    | moss | herbs | acorns | roses | cress | peat | water
quality: light | heavy | warm | cold | smooth | dusty | rough | sticky | slippery | delicate | strange | damp
    | fragile | thin | round | noisy | hollow | cracked
pretty: pretty | beautiful | shiny | useful | graceful | splendid | charming | lovely | handsome | dainty
    | rare | tiny | curious | colourful | perfect
smell: camphor | smoke | rain | pepper | oranges | paint | old books | roses | wet wool | vinegar | pine
    | soap | toast | the sea | lavender | moss | {plum} {cake} | garlic | tea | ink
marks: letters | stars | numbers | arrows | moons | crosses | circles | names | fishes | hearts | dragons
    | suns
greeting: Hello | Good morning | Lovely {daypart} | Well met | Not so fast | What a {weather} {daypart}
    | Mind the {onions} | Greetings | Watch your step | At last | Come closer | Welcome | Halt | Bless you
    | I have lost my {clothing} | Beware of the {animals}
panic: Help | Oh dear | Not again | How dreadful | Dear me | I knew it | Disaster | Goodness | This cannot be
    | Mercy | Bless my {clothing}s | Somebody do something | By all {animals} | Holy {plum} {cake}
deduction: It must be | That can only be | I have my doubts about | We should visit | Nobody but | I would ask
    | Never trust | Let us call on | Once more it was | Beware of | I smell | Typical of
bigger: bigger | brighter | older | stranger | wider | darker | smaller | higher | grander | redder | quieter
    | wetter | emptier | steeper | noisier | warmer
far: far | big | cold | wet | steamy | dangerous | dull | steep | dark | expensive | windy | late
"""

# the one rule with data of its own: "Mira / she / her / her | Otto / he / him / his | ..."
PEOPLE_RULE = "name (first / they / them / their): " + " | ".join(
    f"{name} / {PRONOUNS[they]}" for name, they in PEOPLE
)


@cache
def grammar() -> Grammar:
    """The grammar of the tales."""
    return Grammar(GRAMMAR + PEOPLE_RULE, start="tale")


def write(n_characters: int, seed: int) -> str:
    """Tales with at least this many characters together; the last one is whole."""
    # of all generators in `random`, only random() promises the same numbers in each version of Python
    draw = random.Random(seed).random
    tales: list[str] = []
    length = 0
    while length < n_characters:
        tales.append(grammar().write(draw))
        length += len(tales[-1])
    return "".join(tales)


@cache
def entropy_rate() -> float:
    """The entropy of the tales in nats per character: the least average loss that any model can have."""
    nats, characters = grammar().expectation()
    return nats / characters


def information(text: str) -> float:
    """The information of `text`, -log of its probability, in nats; ValueError if it is no series of tales."""
    nats, at = 0.0, 0
    while at < len(text):
        at, more = grammar().read(text, at)
        nats += more
    return nats

// Head, hair and clothes. Compiled once for each LAYER: 0 skin, 1 a hair shell, 2 the clothes, 3 eyes, lashes and mouth.
// (A software rasteriser pays for every branch of a shader, taken or not.)
in vec3 P; in vec3 N; in vec3 R; in vec2 U; flat in float part_of; in float opening; in vec4 in_light;
layout(location = 0) out vec4 out_colour; layout(location = 1) out vec4 out_irradiance;
uniform float inflate;
uniform sampler2D masks; uniform vec3 skin; uniform vec3 lips; uniform vec3 iris; uniform vec3 gaze; uniform vec3 eye_left;
uniform float redness; uniform float freckles; uniform float roughness; uniform float oil; uniform float age;
uniform vec3 hair; uniform vec3 brow; uniform float hairline; uniform float hair_seed; uniform float hair_density; uniform float hair_round;
uniform float moles; uniform float teeth; uniform vec3 enamel; uniform vec3 sclera; uniform float beard; uniform float brow_width; uniform float brow_dark;
uniform int garment; uniform vec3 cloth; uniform vec3 cloth2; uniform vec3 cloth3; uniform float neckline; uniform float vneck;

float scalp(vec3 r) {  // > 0 where hair grows, decimetres above the hairline
    float z = r.z;
    float y = z > 1.15 ? mix(7.93, 8.08, smoothstep(1.15, 1.5, z)) : z > .85 ? mix(7.62, 7.93, (z - .85) / .3)
            : z > .55 ? mix(7.25, 7.62, (z - .55) / .3) : z > .25 ? mix(7.3, 7.25, (z - .25) / .3)
            : z > -.1 ? mix(6.75, 7.3, (z + .1) / .35) : 6.55;
    return r.y - y - hairline + .06 * (noise(vec3(r.xz * 9., hair_seed)) - .5);
}
float brow_mask(vec3 r) {  // soft arcs of short strokes, thin and sparse at both ends
    float t = (abs(r.x) - .10) / .46;
    if (t < 0. || t > 1. || r.z < .9) return 0.;
    float centre = 7.45 + .055 * sin(t * 2.5) - .03 * t * t, w = brow_width * (1. - .6 * t) * smoothstep(0., .25, t);
    float across = (r.y - centre) / w, stroke = noise(vec3(r.x * 95. - sign(r.x) * r.y * 45., r.y * 40., seed));
    return smoothstep(1.25, .45, abs(across) + .5 * (stroke - .5)) * smoothstep(0., .3, t) * smoothstep(1., .8, t) * (.5 + .6 * stroke);
}
float beard_mask(vec3 r) {
    float x = abs(r.x);
    float jaw = smoothstep(6.98, 6.78, r.y + .25 * smoothstep(.62, .25, x) - .28 * smoothstep(.5, .8, x));
    jaw *= smoothstep(5.95, 6.15, r.y) * smoothstep(.25, .5, r.z);
    float lip = smoothstep(.36, .24, x) * smoothstep(6.68, 6.72, r.y) * smoothstep(6.86, 6.79, r.y + .1 * x) * step(1.2, r.z);
    return max(jaw, lip);
}
vec3 cloth_colour(vec3 r, float depth) {
    // garment: 0 plain, 1 stripes across, 2 stripes down, 3 plaid, 4 suit with tie, 5 white coat, 6 apron, 7 hi-vis vest,
    // 8 overalls, 9 robe with white bands, 10 uniform shirt with badge and epaulettes, 11 jumper with a collar, 12 suit, no tie,
    // 13 turnout coat, 14 jersey
    float x = abs(r.x), y = r.y, front = step(.1, r.z); vec3 c = cloth;
    if (garment == 1) c = mix(cloth, cloth2, step(.5, fract(y * 3.4)));
    else if (garment == 2) c = mix(cloth, cloth2, step(.72, fract(r.x * 5.)));
    else if (garment == 3) c = mix(cloth, cloth2, .5 * step(.5, fract(y * 3.)) + .5 * step(.5, fract(r.x * 3.)));
    else if (garment == 4 || garment == 12 || garment == 5) {
        float opening_w = (y - 4.55) * .36;
        if (front > 0. && x < opening_w) {
            c = cloth2;
            if (garment != 12 && x < .10 + .03 * (6. - y) && y < 5.86) c = cloth3;
        } else if (front > 0. && x < opening_w + .14) c = cloth * .72;
        if (garment == 5 && front > 0. && abs(x - .5 - .04 * sin(y * 4.)) < .05 && y > 4.7) c = vec3(.01, .012, .02);
    } else if (garment == 6) { if (front > 0. && ((x < .62 && y < 5.3) || (abs(x - .48) < .1))) c = cloth2; }
    else if (garment == 7) {
        if (x > .3 + .12 * (5.9 - y)) { c = cloth; if (abs(x - .78) < .13 || abs(y - 4.75) < .12) c = cloth3; } else c = cloth2;
    } else if (garment == 8) { c = cloth2; if ((front > 0. && x < .62 && y < 5.25) || abs(x - .5) < .13) c = cloth; }
    else if (garment == 9) { if (front > 0. && x < .2 && y > 4.9) c = cloth2; }
    else if (garment == 10) {
        if (x > 1.0 && r.y > 5.1 && abs(fract(r.x * 2.2) - .5) < .2) c = cloth2;
        if (front > 0. && length(vec2(r.x - .62, y - 5.0)) < .14) c = cloth3;
        if (front > 0. && x < .09 && y < 5.8) c = cloth2;
    } else if (garment == 11) { if (depth < .2) c = cloth2; }
    else if (garment == 13) { c = mix(cloth, cloth2, step(abs(y - 5.05), .11)); if (front > 0. && x < .07) c = cloth3; }
    else if (garment == 14) { if (x > 1.05) c = cloth2; if (front > 0. && x < .3 && abs(y - 4.95) < .2) c = cloth3; }
    return c;
}

void main() {
    vec3 n = normalize(N), v = normalize(camera - P);
    Surface s = Surface(skin, n, .028, roughness, 1., vec3(.30, .17, .11), opening);
    float is_skin = 0., glint = 0., eye_shade = 1.;
#if LAYER == 1
    {
        float edge = scalp(R);
        if (edge < 0.) discard;
        vec3 q = hair_round > .5 ? R * 30. : vec3(R.x * 55., R.y * 9., R.z * 34.);
        float strand = noise(q + hair_seed) * .55 + .45 * noise(q * 1.9 + 5.), lock = octaves(hair_round > .5 ? R * 7. : vec3(R.x * 9., R.y * 2., R.z * 6.) + hair_seed);
        float thin = .85 * inflate * (1.2 - hair_density * .5) / max(smoothstep(0., .22, edge), .12);
        if (mix(strand, lock, .35) < thin * mix(.75, .55, hair_round) - .04) discard;
        float depth = .22 + .35 * inflate;  // roots lie in the shade of the tips
        s = Surface(hair * (.55 + .6 * strand + .5 * (lock - .5)) * depth, normalize(n + .45 * noise3(q * .8) + .35 * noise3(R * 5. + hair_seed)), .046, mix(.45, .6, hair_round), .2, vec3(.12), mix(opening, 1., .4) * (.45 + .55 * inflate));
    }
#elif LAYER == 2
    {
        float y = neckline - vneck * smoothstep(.55, 0., abs(R.x)) * step(0., R.z);
        if (R.y > y) discard;
        float depth = y - R.y;
        vec3 c = cloth_colour(R, depth) * (.86 + .28 * octaves(R * 5. + seed)) * (1. - .35 * smoothstep(.06, 0., depth));
        s = Surface(c, normalize(n + .28 * noise3(R * 9.)), .02, .8, .3, vec3(.15), opening);
    }
#elif LAYER == 0
    {
        if (R.y < neckline - .6 - vneck) discard;
        is_skin = 1.;
        vec3 mask = texture(masks, vec2(U.x, 1. - U.y)).rgb;  // lips, eyelids, face
        float x = abs(R.x), y = R.y;
        float uneven = octaves(R * 3. + seed) - .5, blotch = octaves(R * 14. + seed) - .5, pore = noise(R * 60. + seed) - .5;
        float cheek = exp(-(pow((x - .42) / .2, 2.) + pow((y - 6.98) / .19, 2.))) * step(.7, R.z);
        float nose = exp(-(pow(x / .14, 2.) + pow((y - 7.) / .1, 2.))) * step(1.4, R.z);
        float ear = smoothstep(.72, .85, x) * step(6.8, y) * step(y, 7.6);
        float red = redness * (cheek + .8 * nose + .6 * ear) + .5 * redness * uneven;
        vec3 c = skin * (1. + .10 * uneven + .08 * blotch + .06 * pore) * vec3(1. + .03 * red, 1. - .13 * red, 1. - .11 * red);
        float under_eye = exp(-(pow((x - .3) / .15, 2.) + pow((y - 7.13) / .06, 2.))) * step(1., R.z);
        c *= 1. - under_eye * vec3(.10, .14, .11) * (.5 + age);
        c *= 1. - step(.8, noise(R * 38. + seed * 3.)) * freckles * (cheek + nose) * vec3(.15, .3, .4);
        float mole = step(.965, noise(R * 13. + seed * 7.)) * step(.8, R.z);
        c *= 1. - moles * mole * vec3(.45, .5, .5);
        if (mask.g > .02) c *= mix(vec3(1), vec3(.86, .78, .78), mask.g);
        float lip = smoothstep(.25, .75, mask.r);
        c = mix(c, c * lips * (1. + .16 * (noise(vec3(R.x * 60., R.y * 8., seed)) - .5)), lip);
        // Where the lips meet, at the nostrils and in the corners of the eyes little light comes back out.
        c *= mix(1., .25 + .75 * smoothstep(.05, .4, opening), step(.9, R.z));
        if (mask.r > .4) { s.rough = .38; s.gloss = 1.1; }
        if (mask.r > .3) is_skin = 0.;
        float hairs = noise(R * vec3(75., 38., 75.) + seed), patchy = octaves(R * 4. + seed * 2.);
        float bearded = beard_mask(R) * beard * smoothstep(.15, .6, hairs * .6 + patchy * .6) * (1. - mask.r);
        c = mix(c, hair * (.5 + .7 * hairs) + .02 * skin, clamp(1.15 * bearded, 0., .94));
        float browed = brow_mask(R) * brow_dark;
        c = mix(c, brow, clamp(browed, 0., .92));
        if (bearded > .3 || browed > .3) is_skin = 0.;
        float edge = scalp(R);
        if (edge > -.04 && hair_density > .01) { c = mix(c, hair * .5, smoothstep(-.02, .14, edge + .1 * (noise(R * 45. + hair_seed) - .5)) * .85 * min(1., hair_density * 1.4)); is_skin = 0.; }
        s.albedo = c;
        s.n = normalize(n + (.05 + .10 * age) * noise3(R * 26. + seed) + .09 * noise3(R * 70.));
        float t_zone = exp(-pow(x / .28, 2.)) * step(6.9, y) * step(.9, R.z);
        s.gloss *= .75 + oil * (.4 + t_zone);
        if (R.z < 1.35 && R.z > .3 && x < .25 && y > 6.7 && y < 7.) { s.albedo = vec3(.12, .035, .03); s.open *= .3; is_skin = 0.; }
        if (y < 6.1) is_skin = 0.;
    }
#else
    if (part_of < 2.5) {
        vec3 c = eye_left; if (part_of > 1.5) c.x = -c.x;
        vec3 d = normalize(R - c);
        float angle = acos(clamp(dot(d, normalize(gaze)), -1., 1.)), t = angle / .52;
        float veins = octaves(R * 30. + seed);
        vec3 white = sclera * (1. - .22 * smoothstep(.7, 1.4, angle)) * mix(vec3(1), vec3(1, .93, .92), veins);
        vec3 ring = iris * (.65 + .8 * noise(vec3(atan(d.y, d.x) * 9., t * 3., seed))) * (1. - .65 * smoothstep(.72, 1., t)) * (1. + .5 * smoothstep(.75, .42, t));
        ring = mix(vec3(.005), ring, smoothstep(.34, .42, t));
        float lid = 1. - .6 * smoothstep(.0, .10, R.y - c.y);  // the upper lid's shade
        s = Surface(mix(ring, white, smoothstep(.9, 1.08, t)), n, .03, .10, 1.6, vec3(.1), .85 * lid);
        eye_shade = lid;
        // A window's or a softbox's reflection.
        vec3 bounce = reflect(-v, normalize(mix(n, d, .7)));
        glint = smoothstep(.93, .965, dot(bounce, normalize(light_dir[0] + .25 * up))) * step(t, 1.5);
    } else if (part_of < 3.5) {
        float strand = noise(vec3(R.x * 150., R.y * 12., seed));
        if (R.y < eye_left.y || R.z > 1.43 || strand < .5) discard;
        if (dot(n, v) < 0.) n = -n;
        s = Surface(mix(vec3(.012, .01, .009), skin * .35, .35 * strand), n, .02, .8, 0., vec3(.15), opening);
    } else s = Surface(R.y > 6.45 ? enamel : vec3(.45, .15, .14), normalize(n + vec3(0, .2, .8)), .03, .3, .6, vec3(.3), .8), eye_shade = teeth;
#endif
    #if LAYER != 1
    if (dot(s.n, v) < 0.) s.n = -s.n;
#endif
    vec3 irr; vec3 c = shade(s, P, key_visible(in_light, s.n), irr) * eye_shade + glint * .8 * light_col[0];
    out_colour = vec4(c, 1); out_irradiance = vec4(irr, is_skin);
}
